"""The module behind FastAPI as its documentation shows it: one process, one call for each request."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serving.peers.sampler import Sampler

app = FastAPI()
sampler = Sampler()


class Question(BaseModel):
    """A request."""

    n: int
    seed: int


@app.post("/sample")
def sample(question: Question) -> dict[str, list[list[list[int]]]]:
    """Configurations as lists."""
    return {"samples": sampler.sample(question.n, question.seed).tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
