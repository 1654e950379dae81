"""Write all-MiniLM-L6-v2 as an ONNX graph, from its published weights.

    make_onnx.py MODEL_DIR OUTPUT.onnx
    make_onnx.py --check MODEL.onnx

The second form embeds a known sentence and compares it with the published model.
MODEL_DIR holds config.json and model.safetensors. The graph takes `input_ids`,
`attention_mask` and `token_type_ids` (int64, batch x tokens) and gives
`last_hidden_state` (float32, batch x tokens x 384). Pooling is left to the caller.

The nodes follow the shapes that ONNX Runtime's attention and layer-norm fusions look
for; position ids are a slice of a constant, because a Range node stops those fusions.
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

    def op(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def build(config, weights):
    graph = Graph()
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_size, epsilon = hidden // heads, config["layer_norm_eps"]
    int64 = lambda name, values: graph.const(name, np.array(values, dtype=np.int64))

    def linear(x, prefix, output):
        kernel = graph.const(f"{prefix}.weight", weights[f"{prefix}.weight"].T)
        bias = graph.const(f"{prefix}.bias", weights[f"{prefix}.bias"])
        return graph.op("Add", [graph.op("MatMul", [x, kernel], f"{output}_mul"), bias], output)

    def layer_norm(x, prefix, output):
        scale = graph.const(f"{prefix}.weight", weights[f"{prefix}.weight"])
        bias = graph.const(f"{prefix}.bias", weights[f"{prefix}.bias"])
        return graph.op("LayerNormalization", [x, scale, bias], output, axis=-1, epsilon=epsilon)

    # Embeddings: word + type + position, then layer norm.
    table = lambda kind: graph.const(kind, weights[f"embeddings.{kind}_embeddings.weight"])
    words = graph.op("Gather", [table("word"), "input_ids"], "words")
    types = graph.op("Gather", [table("token_type"), "token_type_ids"], "types")
    length = graph.op("Gather", [graph.op("Shape", ["input_ids"], "shape"), int64("one", 1)], "length")
    limit = graph.op("Unsqueeze", [length, int64("axis0", [0])], "limit")
    all_positions = int64("position_ids", [list(range(config["max_position_embeddings"]))])
    position_ids = graph.op(
        "Slice", [all_positions, int64("start", [0]), limit, int64("axis1", [1])], "positions_used"
    )
    positions = graph.op("Gather", [table("position"), position_ids], "positions")
    summed = graph.op("Add", [graph.op("Add", [words, types], "words_types"), positions], "summed")
    x = layer_norm(summed, "embeddings.LayerNorm", "embedded")

    # Attention mask: 0 where a token counts, a very negative number where it is padding.
    mask = graph.op("Unsqueeze", ["attention_mask", int64("axis1", [1])], "mask_1")
    mask = graph.op("Unsqueeze", [mask, int64("axis2", [2])], "mask_2")
    mask = graph.op("Cast", [mask], "mask_float", to=TensorProto.FLOAT)
    ones = graph.const("mask_one", np.array(1.0, dtype=np.float32))
    lowest = graph.const("mask_lowest", np.array(-10000.0, dtype=np.float32))
    mask = graph.op("Mul", [graph.op("Sub", [ones, mask], "mask_flipped"), lowest], "mask")

    split_shape = int64("split_shape", [0, 0, heads, head_size])
    merge_shape = int64("merge_shape", [0, 0, hidden])
    root = graph.const("root", np.array(np.sqrt(head_size), dtype=np.float32))
    for layer in range(config["num_hidden_layers"]):
        weight, name = f"encoder.layer.{layer}", f"layer{layer}"

        def heads_of(part, order):
            flat = linear(x, f"{weight}.attention.self.{part}", f"{name}_{part}")
            split = graph.op("Reshape", [flat, split_shape], f"{name}_{part}_split")
            return graph.op("Transpose", [split], f"{name}_{part}_heads", perm=order)

        query = heads_of("query", [0, 2, 1, 3])
        key = heads_of("key", [0, 2, 3, 1])
        value = heads_of("value", [0, 2, 1, 3])
        scores = graph.op("MatMul", [query, key], f"{name}_scores_raw")
        scores = graph.op("Div", [scores, root], f"{name}_scores")
        scores = graph.op("Add", [scores, mask], f"{name}_scores_masked")
        share = graph.op("Softmax", [scores], f"{name}_share", axis=-1)
        context = graph.op("MatMul", [share, value], f"{name}_context_heads")
        context = graph.op("Transpose", [context], f"{name}_context_split", perm=[0, 2, 1, 3])
        context = graph.op("Reshape", [context, merge_shape], f"{name}_context")
        out = linear(context, f"{weight}.attention.output.dense", f"{name}_attention")
        x = layer_norm(
            graph.op("Add", [out, x], f"{name}_attention_skip"),
            f"{weight}.attention.output.LayerNorm",
            f"{name}_attention_norm",
        )

        # Gelu by its definition, x/2 * (1 + erf(x / sqrt 2)): the runtime fuses these five nodes.
        inner = linear(x, f"{weight}.intermediate.dense", f"{name}_inner")
        scaled = graph.op("Div", [inner, graph.const("sqrt2", np.array(np.sqrt(2), np.float32))], f"{name}_gelu_in")
        erf = graph.op("Erf", [scaled], f"{name}_erf")
        plus = graph.op("Add", [erf, graph.const("gelu_one", np.array(1, np.float32))], f"{name}_erf_plus")
        product = graph.op("Mul", [inner, plus], f"{name}_gelu_twice")
        gelu = graph.op("Mul", [product, graph.const("half", np.array(0.5, np.float32))], f"{name}_gelu")
        out = linear(gelu, f"{weight}.output.dense", f"{name}_outer")
        last = layer == config["num_hidden_layers"] - 1
        x = layer_norm(
            graph.op("Add", [out, x], f"{name}_skip"),
            f"{weight}.output.LayerNorm",
            "last_hidden_state" if last else f"{name}_out",
        )

    axes = ["batch", "tokens"]
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    return helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*axes, hidden])],
        graph.weights,
        # Tells shape inference what it cannot see: the slice is as long as the tokens.
        value_info=[helper.make_tensor_value_info("positions_used", TensorProto.INT64, [1, "tokens"])],
    )


def main(source, target):
    config = json.loads((source / "config.json").read_text())
    graph = build(config, load_file(source / "model.safetensors"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, target)


# "My invoice is wrong" in tokens, and the start of its embedding as PyTorch computes it
# from the same weights (transformers' BertModel, mean pooling, length 1).
KNOWN_TOKENS = [101, 2026, 1999, 6767, 6610, 2003, 3308, 102]
KNOWN_EMBEDDING = [-0.017953, 0.069094, 0.045249, -0.046165, -0.151121, -0.100426, -0.048476, 0.056792]


def check(model):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model))
    tokens = np.array([KNOWN_TOKENS], dtype=np.int64)
    mask, types = np.ones_like(tokens), np.zeros_like(tokens)
    states = session.run(None, {"input_ids": tokens, "attention_mask": mask, "token_type_ids": types})[0]
    embedding = states[0].mean(axis=0)
    embedding /= np.linalg.norm(embedding)
    worst = float(np.abs(embedding[: len(KNOWN_EMBEDDING)] - KNOWN_EMBEDDING).max())
    if worst > 1e-4:
        sys.exit(f"the known embedding is off by {worst:.6f}, more than 0.0001: the model or the runtime is not the right one")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--check":
        check(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
