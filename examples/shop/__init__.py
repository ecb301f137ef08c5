"""A shop: a checkout that neither sells what is not there nor sells it twice.

uvicorn examples.shop.app:app
"""
