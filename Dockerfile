# Prediction, export and the page on a CPU:
#   docker build -t depth .
#   docker run --rm -p 7860:7860 -v "$PWD/weights:/weights:ro" depth -m web --host 0.0.0.0 --load_weights_folder /weights/best
#   docker run --rm -v "$PWD:/data" -v "$PWD/weights:/weights:ro" depth demo.py --image_path /data/street.jpg --load_weights_folder /weights/best --output /data/out
FROM python:3.11-slim

# Paddle needs OpenMP.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt requirements-engines.txt requirements-web.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-web.txt
COPY . .
RUN useradd --create-home depth
USER depth
# Exports of read-only weights folders go here.
ENV MONODEPTH_HOME=/home/depth/cache
EXPOSE 7860
ENTRYPOINT ["python"]
CMD ["-m", "web", "--help"]
