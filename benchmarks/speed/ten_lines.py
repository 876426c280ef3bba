"""A yardstick of `speed.serving`: the lines that people write instead of a demo. MODEL_ID is the checkpoint."""

import os

import gradio as gr
from transformers import pipeline

classifier = pipeline("image-classification", model=os.environ["MODEL_ID"])


def predict(image):
    return {row["label"]: row["score"] for row in classifier(image)}


gr.Interface(predict, gr.Image(type="pil"), gr.Label(), api_name="predict").launch()
