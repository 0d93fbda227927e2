FROM python:3.12-slim AS build
COPY . /src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /src

FROM python:3.12-slim
# Kernels are compiled here, for any x86 processor with AVX2, and belong to root. On ARM, leave out the last two variables.
ENV ERT_CACHE_DIR=/var/cache/ert NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES=
# Names of extras, such as "opencv,plot".
ARG EXTRAS=opencv
RUN --mount=from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/*.whl)[$EXTRAS]" && ert warmup
# Any user will do: nothing is written but what a command is asked for.
USER 65534:65534
WORKDIR /data
ENTRYPOINT ["ert"]
CMD ["--help"]
