"""The projector of a model: what turns pictures and sound into what the model takes as tokens.

Gives `projector_file.ProjectorFile`: opened but not yet loaded, wherever it lies.
May import what the model may.
"""
