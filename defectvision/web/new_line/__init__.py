"""A new line from photographs of good parts: the form, the process that learns it, what came out.

`runs`, `photographs`, `naming`, `training` and `keeper` know nothing of Streamlit.
"""
