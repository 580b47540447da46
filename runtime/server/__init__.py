"""The engine behind HTTP: OpenAI's interface, llama-server's, and a page.

    problem                what goes wrong, in OpenAI's shape
    parameters             how to choose tokens, as requests say it
    openai, native         the requests and answers of both interfaces, typed
    bridge                 from the engine's thread to the event loop
    toolcalls, messages    tools and messages, as models and their templates have them
    choice                 one answer in the making
    service, answers       what the endpoints do, over an engine
    inspect                what else can be asked
    remote                 the same over another server, when the model cannot be loaded
    guard                  who may ask what
    assets                 the page's files
    endpoint, app          from HTTP to all that: one endpoint, and the routes
    openapi                the description of the interface
    protocol, listener     connections and the socket
    supervisor, run        processes, and how it all begins

Starlette, uvicorn and msgspec are imported here and nowhere else.
"""
