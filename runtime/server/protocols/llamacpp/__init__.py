"""What llama-server does beside completions: filling in, reranking, adapters, its slots' actions.

Gives typed requests and responses, and handlers that translate between them and the service.
May import what protocols may, and protocols.
"""
