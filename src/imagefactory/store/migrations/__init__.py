"""The history of the schema, one file in `versions` for each change, run by Alembic.

A change is a new file there, the same change in `store/schema.py`, and `REVISION` raised. What is
released is never edited. A test compares the tables that the migrations make with the schema.
"""
