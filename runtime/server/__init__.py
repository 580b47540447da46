"""The engine behind HTTP: OpenAI's interface, llama-server's, and a page.

    problem                what goes wrong, in OpenAI's shape
    parameters             how to choose tokens, as requests say it
    openai, native         the requests and answers of both interfaces, typed
    bridge                 from the engine's thread to the event loop
    toolcalls              the forms in which models call tools
    service                what the endpoints do, over an engine
    remote                 the same over another server, when the model cannot be loaded
    guard                  who may ask what
    assets                 the page's files
    app                    the routes
    listener, supervisor   sockets, processes, signals

Starlette, uvicorn and msgspec are imported here and nowhere else.
"""
