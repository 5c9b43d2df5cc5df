# One image for every process of the stack; docker-compose.yml says which one a container runs.
FROM python:3.11-slim
RUN useradd --create-home helmholtz && mkdir /data && chown helmholtz /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md ./
COPY zoo zoo
COPY models_registry models_registry
COPY workers workers
COPY service service
COPY helmholtz helmholtz
# TORCH_INDEX chooses the build of torch: PyTorch's CPU or CUDA index; empty takes PyPI's.
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt '.[server]'
USER helmholtz
ENV HELMHOLTZ_DATA_DIR=/data OMP_WAIT_POLICY=passive PYTHONUNBUFFERED=1
CMD ["helmholtz", "serve"]
