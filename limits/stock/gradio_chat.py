import gradio as gr
from openai import OpenAI

client = OpenAI()


def answer(message, history):
    asked = [{"role": turn["role"], "content": turn["content"]} for turn in history]
    asked.append({"role": "user", "content": message})
    text = ""
    for chunk in client.chat.completions.create(model="tokens", messages=asked, stream=True):
        text += chunk.choices[0].delta.content or ""
        yield text


demo = gr.ChatInterface(answer, title="Chat with a model")
if __name__ == "__main__":
    demo.launch()
