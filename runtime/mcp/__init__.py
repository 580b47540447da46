"""The program as a tool of agents: the Model Context Protocol over the standard streams.

Gives `main.run`, which serves until its input ends, and `tool.Tool`, what an agent can call.
May import what asks the model; nothing of the terminal or the server.
"""
