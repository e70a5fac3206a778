"""The dashboard as one ASGI app: `streamlit run app.py`, or `defectvision serve`."""

from pathlib import Path

import streamlit as st

app = st.App(Path(__file__).resolve().parent / "defectvision" / "web" / "navigation.py")
