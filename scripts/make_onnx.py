"""Write all-MiniLM-L6-v2 as an ONNX graph, from its published weights.

    make_onnx.py MODEL_DIR OUTPUT.onnx
    make_onnx.py --quantize MODEL.onnx OUTPUT.onnx
    make_onnx.py --check MODEL.onnx TOLERANCE

The second form gives the weights of such a graph 8 bits. The third embeds a known sentence
and compares it with the published model; the tolerance is that of a single number.
MODEL_DIR holds config.json and model.safetensors. The graph takes `input_ids`,
`attention_mask` and `token_type_ids` (int64, batch x tokens) and gives
`last_hidden_state` (float32, batch x tokens x 384). Pooling is left to the caller.

Attention, BiasGelu and EmbedLayerNormalization are ONNX Runtime's own operators, so the
graph runs nowhere else. They are written out because its attention fusion would find them
only in a graph of opset 12 or older.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file


class Graph:
    """Collects nodes and weights; each method returns the name of its output."""

    def __init__(self):
        self.nodes, self.weights, self.known = [], [], set()

    def const(self, name, array):
        if name not in self.known:
            self.known.add(name)
            self.weights.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def op(self, kind, inputs, output, unused=(), **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output, *unused], name=output, **attributes))
        return output

    def runtime_op(self, kind, inputs, output, **attributes):
        return self.op(kind, inputs, output, domain="com.microsoft", **attributes)


def build(config, weights):
    graph = Graph()
    hidden, epsilon = config["hidden_size"], config["layer_norm_eps"]
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    weight = lambda name: graph.const(name, weights[name])

    def matmul(x, prefix, output):
        return graph.op("MatMul", [x, graph.const(f"{prefix}.weight", weights[f"{prefix}.weight"].T)], output)

    # LayerNorm(linear(x) + skip). Sum instead of Add, because the runtime fuses an Add here
    # into SkipLayerNormalization, which is slower on a CPU.
    def linear_norm(x, skip, linear, output):
        norm = linear.replace("dense", "LayerNorm")
        total = [matmul(x, linear, f"{output}_mul"), weight(f"{linear}.bias"), skip]
        scaled = [graph.op("Sum", total, f"{output}_sum"), weight(f"{norm}.weight"), weight(f"{norm}.bias")]
        return graph.op("LayerNormalization", scaled, output, axis=-1, epsilon=epsilon)

    # The runtime's operators take int32. Positions count from 0 unless they are given.
    ids, mask, types = (graph.op("Cast", [name], f"{name}_int32", to=TensorProto.INT32) for name in inputs)
    tables = [weight(f"embeddings.{kind}_embeddings.weight") for kind in ["word", "position", "token_type"]]
    norm = [weight("embeddings.LayerNorm.weight"), weight("embeddings.LayerNorm.bias")]
    x = graph.runtime_op(
        "EmbedLayerNormalization", [ids, types, *tables, *norm], "embedded", unused=["mask_index"], epsilon=epsilon
    )

    for layer in range(config["num_hidden_layers"]):
        prefix, name = f"encoder.layer.{layer}", f"layer{layer}"
        parts = [f"{prefix}.attention.self.{part}" for part in ["query", "key", "value"]]
        kernel = np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
        context = graph.runtime_op(
            "Attention",
            [x, graph.const(f"{name}_qkv.weight", kernel), graph.const(f"{name}_qkv.bias", bias), mask],
            f"{name}_context",
            num_heads=config["num_attention_heads"],
        )
        x = linear_norm(context, x, f"{prefix}.attention.output.dense", f"{name}_attention")

        inner = matmul(x, f"{prefix}.intermediate.dense", f"{name}_inner")
        gelu = graph.runtime_op("BiasGelu", [inner, weight(f"{prefix}.intermediate.dense.bias")], f"{name}_gelu")
        last = layer == config["num_hidden_layers"] - 1
        x = linear_norm(gelu, x, f"{prefix}.output.dense", "last_hidden_state" if last else f"{name}_out")

    axes = ["batch", "tokens"]
    return helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*axes, hidden])],
        graph.weights,
    )


def main(source, target):
    config = json.loads((source / "config.json").read_text())
    graph = build(config, load_file(source / "model.safetensors"))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def quantize(source, target):
    from onnxruntime.quantization import quantize_dynamic

    # A scale for each column keeps more of the embedding than one for each matrix (mean cosine
    # 0.993 and 0.970). Seven bits, since with eight a processor without VNNI saturates its
    # sums: it would give other vectors, and no processor is faster for it.
    # The type is said because shape inference does not know the runtime's own operators.
    options = {"DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(source, target, per_channel=True, reduce_range=True, extra_options=options)


# "My invoice is wrong" in tokens, and the start of its embedding as PyTorch computes it
# from the same weights (transformers' BertModel, mean pooling, length 1).
KNOWN_TOKENS = [101, 2026, 1999, 6767, 6610, 2003, 3308, 102]
KNOWN_EMBEDDING = [-0.017953, 0.069094, 0.045249, -0.046165, -0.151121, -0.100426, -0.048476, 0.056792]


def check(model, tolerance):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model))
    tokens = np.array([KNOWN_TOKENS], dtype=np.int64)
    mask, types = np.ones_like(tokens), np.zeros_like(tokens)
    states = session.run(None, {"input_ids": tokens, "attention_mask": mask, "token_type_ids": types})[0]
    embedding = states[0].mean(axis=0)
    embedding /= np.linalg.norm(embedding)
    worst = float(np.abs(embedding[: len(KNOWN_EMBEDDING)] - KNOWN_EMBEDDING).max())
    if worst > tolerance:
        sys.exit(f"the known embedding is off by {worst:.6f}, more than {tolerance}: the model or the runtime is not the right one")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--check", model, tolerance]:
            check(Path(model), float(tolerance))
        case ["--quantize", source, target]:
            quantize(Path(source), Path(target))
        case [source, target]:
            main(Path(source), Path(target))
        case _:
            sys.exit(__doc__)
