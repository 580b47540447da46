"""Sound over the API: what is said in it, as OpenAI's transcriptions give it.

Gives the endpoint.
May import what the protocols may.
"""
