"""What `scripts/bench` measures beside ticket-router, in a process of its own.

    peer.py bare  MODEL_FOLDER     the ONNX runtime alone: `run` on tokens that are ready
    peer.py stack MODEL_FOLDER     what a user would write: tokenizers, onnxruntime, numpy, qdrant-client

Reads one command in JSON a line and answers each with a line: `{"index": [text, ...]}` gives the
seconds that it took, `{"tickets": [text, ...]}` the milliseconds of each.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MAX_TOKENS = 256
PAYLOAD_K = 10


class Model:
    def __init__(self, folder, threads=None):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        if threads:
            options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)

    def tokens(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        return {name: np.array([getattr(e, of) for e in encoded], dtype=np.int64) for name, of in columns.items()}

    def run(self, tokens):
        return self.session.run(None, tokens)[0]

    def embed(self, texts):
        tokens = self.tokens(texts)
        mask = tokens["attention_mask"][:, :, None]
        mean = (self.run(tokens) * mask).sum(axis=1) / mask.sum(axis=1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


class Bare:
    """The least that any program on this runtime needs: the forward passes."""

    BATCH = 16  # the fastest of 4, 8, 16 and 32 on two cores

    def __init__(self, folder):
        self.model = Model(folder, threads=2)

    def index(self, texts):
        texts = sorted(texts, key=len)
        batches = [self.model.tokens(texts[i : i + self.BATCH]) for i in range(0, len(texts), self.BATCH)]
        return seconds(lambda: [self.model.run(batch) for batch in batches])

    def tickets(self, texts):
        tokens = [self.model.tokens([text]) for text in texts]
        return [1e3 * seconds(lambda: self.model.run(one)) for one in tokens]


class Stack:
    BATCH = 64

    def __init__(self, folder):
        self.model = Model(folder)

    def index(self, texts):
        def fill():
            from qdrant_client import QdrantClient, models

            self.client = QdrantClient(":memory:")
            size = len(self.model.embed(["size"])[0])
            params = models.VectorParams(size=size, distance=models.Distance.COSINE)
            self.client.create_collection("tickets", vectors_config=params)
            for start in range(0, len(texts), self.BATCH):
                batch = texts[start : start + self.BATCH]
                points = [
                    models.PointStruct(id=start + i, vector=vector.tolist(), payload={"text": text})
                    for i, (text, vector) in enumerate(zip(batch, self.model.embed(batch)))
                ]
                self.client.upsert("tickets", points)

        return seconds(fill)

    def tickets(self, texts):
        def answer(text):
            vector = self.model.embed([text])[0]
            return self.client.query_points("tickets", query=vector.tolist(), limit=PAYLOAD_K, with_payload=True)

        return [1e3 * seconds(lambda: answer(text)) for text in texts]


def seconds(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main(kind, folder):
    peer = {"bare": Bare, "stack": Stack}[kind](Path(folder))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        [(command, texts)] = json.loads(line).items()
        print(json.dumps(getattr(peer, command)(texts)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
