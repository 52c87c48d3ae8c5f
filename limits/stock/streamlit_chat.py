import streamlit as st
from openai import OpenAI

st.title("Chat with a model")
client = OpenAI()
turns = st.session_state.setdefault("turns", [])
for turn in turns:
    with st.chat_message(turn["role"]):
        st.markdown(turn["content"])
if message := st.chat_input("Say something"):
    turns.append({"role": "user", "content": message})
    st.chat_message("user").markdown(message)
    with st.chat_message("assistant"):
        stream = client.chat.completions.create(model="tokens", messages=turns, stream=True)
        turns.append({"role": "assistant", "content": st.write_stream(stream)})
