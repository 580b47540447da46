"""Commands on made files, by the program itself and by `modelembed`: inspect, verify, edit.

Gives `bundle_commands.add`, which adds them to a command line.
May import what the commands may.
"""
