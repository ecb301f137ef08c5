"""A short-link service: FastAPI pages over asyncio models, and a Flask admin page over the same records.

python -m examples.shortlinks [URL]
"""
