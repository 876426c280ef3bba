# The demo in a container, on the CPU:
#     docker build -t brain-tumor-mri . && docker run --rm -p 7860:7860 brain-tumor-mri
# A checkpoint of your own: docker run ... -v "$PWD/runs/mine:/checkpoint:ro" -e MODEL_ID=/checkpoint brain-tumor-mri
FROM python:3.11-slim

WORKDIR /app
COPY requirements-demo.txt ./
RUN pip install --no-cache-dir -r requirements-demo.txt

COPY app.py model_card.md model_card_figures.md CITATION.cff LICENSE ./
COPY brain_tumor brain_tumor
COPY model model
COPY examples examples

# Uploads are written below the home and are deleted within the hour; nothing else is.
RUN useradd --create-home --uid 1000 demo
USER demo

# To everyone who can reach the container; app.py by itself listens on its own machine alone.
ENV GRADIO_SERVER_NAME=0.0.0.0 PORT=7860
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD python -c "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/config', timeout=8)"
CMD ["python", "app.py"]
