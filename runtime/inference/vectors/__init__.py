"""What models make of whole texts: vectors of them, and how well they answer a query.

Gives an `Embedder` and a `Reranker` for texts one by one, `TextBatches` for many at a time.
May import what inference may, and inference.
"""
