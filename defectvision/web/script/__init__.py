"""The script that Streamlit runs for every session, alone in its folder."""
