"""Architectures that a config.json or a GGUF file may name and that are not counted: why each is refused."""

from __future__ import annotations

from typing import NamedTuple


class Refused(NamedTuple):
    """What stands after "x is", and the x: model_type of a config.json, general.architecture of a GGUF file."""

    reason: str
    types: str = ""
    gguf: str = ""


_ENCODERS = "an encoder, which reads a whole text at once: it does not write one token after another"
_PAIRS = (
    "an encoder and a decoder, and only decoders are read from a config.json: "
    "describe it in a YAML file, as that of switch-base does"
)
_SOUNDS = "for sound: it does not write text one token after another"
_PICTURES = "for pictures: it does not write text"
_SERIES = "for series of numbers: it does not write text"
_DRAFTS = "a draft model, which works only beside the model that it drafts for"

_REFUSED = (
    Refused(
        _ENCODERS,
        types="albert bert bert-generation big_bird camembert canine convbert data2vec-text deberta deberta-v2 "
        "distilbert electra embedding_gemma2 embedding_gemma2_text ernie esm esmc eurobert flaubert fnet "
        "funnel gte ibert jina_embeddings_v3 layoutlm layoutlmv2 layoutlmv3 longformer luke markuplm "
        "megatron-bert mobilebert modernbert mpnet mra neomme nomic_bert nystromformer perceiver rembert "
        "roberta roberta-prelayernorm roc_bert roformer splinter squeezebert tapas ultrabert xlm-roberta "
        "xlm-roberta-xl xmod yoso",
        gguf="bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert "
        "gemma-embedding gemma-embedding2 llama-embed t5encoder",
    ),
    Refused(
        _PAIRS,
        types="bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder fsmt led longt5 m2m_100 marian "
        "mbart mt5 mvp nllb-moe pegasus pegasus_x plbart prophetnet seamless_m4t seamless_m4t_v2 "
        "speech-encoder-decoder speech_to_text switch_transformers t5 t5gemma umt5 whisper moonshine "
        "moonshine_streaming canary canary_decoder cohere_asr trocr nougat rag t5gemma2 t5gemma2_decoder "
        "t5gemma2_encoder t5gemma2_text udop pix2struct pix2struct_text_model pp_formulanet "
        "pp_formulanet_text",
    ),
    Refused(
        _SOUNDS,
        types="audio-spectrogram-transformer bark clap csm dac dia encodec fastspeech2_conformer higgs_audio_v2 "
        "hubert mimi musicgen musicgen_decoder musicgen_melody musicgen_melody_decoder parakeet_ctc "
        "parakeet_rnnt parakeet_tdt pocket_tts pop2piano sew speecht5 unispeech univnet vibevoice vits "
        "wav2vec2 wav2vec2-bert wav2vec2-conformer wavlm xcodec",
    ),
    Refused(
        _PICTURES,
        types="align beit clip conditional_detr convnext convnextv2 data2vec-vision deit depth_anything detr dinov2 "
        "dinov3_vit dpt efficientnet grounding-dino imagegpt mask2former mobilenet_v2 mobilevit owlv2 owlvit "
        "pixtral resnet rt_detr sam sam2 sam3 segformer siglip siglip2 siglip_vision_model swin swinv2 "
        "timm_backbone timm_wrapper videomae vilt vit vit_mae vitpose yolos",
    ),
    Refused(
        _SERIES,
        types="autoformer decision_transformer informer patchtsmixer patchtst time_series_transformer timesfm "
        "timesfm2_5",
    ),
    Refused(
        _DRAFTS,
        types="gemma4_assistant gemma4_unified_assistant muse_glimmer_assistant",
        gguf="eagle3 dflash dflash-draft gemma4-assistant gemma4_mtp",
    ),
    Refused(
        "a decoder of bytes whose large part runs once for each patch of them, and how long patches are depends on the text",
        types="blt",
    ),
    Refused(
        "one whose attention sorts tokens into buckets by hashing, so what a token reads depends on the text",
        types="reformer",
    ),
    Refused(
        "one that keeps no keys and values: it reads the whole text again for each token",
        types="xlm",
    ),
    Refused(
        "one trained on permutations: for each token it reads the two before it and a placeholder again",
        types="xlnet",
    ),
    Refused(
        "a writer of captions that keeps the features of its picture in its cache, and its config does not say how many",
        types="git",
    ),
    Refused(
        "one that keeps all that it read and a window of what it wrote, and how much of a context is which is not asked",
        types="unlimited_ocr unlimited_ocr_text",
    ),
    Refused(
        "a model that moves a robot: it makes a number of movements at a time, in steps, and no text",
        types="pi0",
    ),
    Refused(
        "a diffusion model: it writes many tokens at a time, in steps",
        types="diffusion_gemma diffusion_gemma_text Dream dream llada llada_moe llada2_moe rnd1",
        gguf="dream llada llada-moe rnd1",
    ),
    Refused(
        "a model with a head for decisions, which reads a text whole and gives each option a score: it writes no text",
        gguf="clef",
    ),
    Refused(
        "a decoder of sound, which makes a waveform of codes, all at once: it writes no text",
        gguf="wavtokenizer-dec",
    ),
    Refused(
        "a model that speaks: each step goes on into a decoder of sound, which its file does not hold",
        gguf="pockettts",
    ),
    Refused(
        "a model that speaks: each step runs a second model over its codes, which its file does not hold",
        gguf="qwen3tts",
    ),
    Refused(
        "a projector, which turns pictures or sound into inputs of a language model, whose own GGUF is the file to give",
        gguf="clip",
    ),
    Refused(
        "one in which groups of experts share further small experts (ffn_up_chexps), which cannot be counted yet",
        gguf="grovemoe",
    ),
    Refused(
        "one whose latents are kept beside learned keys (param_sink), which cannot be counted yet",
        gguf="openpangu",
    ),
    Refused(
        "one whose index picks among keys that are pooled (indexer.kpool), which cannot be counted yet",
        gguf="glm5-next",
    ),
    Refused(
        "one whose index picks among pooled keys, which cannot be counted yet",
        gguf="qwen4exp",
    ),
    Refused(
        "one whose router keeps keys of its own and picks one of several adapters for each token, which cannot be counted yet",
        gguf="graniteswitch",
    ),
    Refused(
        "one of which llama.cpp has the name but no code, so no runtime has a speed for such a file",
        gguf="gptj",
    ),
)

# Classes under architectures that vLLM 0.33 or llama.cpp b11549 run, by what of their layers is not counted here.
_MISSING: dict[str, str] = {
    "AliceAIForCausalLM": "attention over the outputs of earlier blocks",
    "BailingMoeV2_5ForCausalLM": "layers of linear attention beside latents",
    "DeepseekV41ForCausalLM": "layers that keep keys of a window only, and those of earlier ones that they read",
    "DomynEdgeForCausalLM": "heads whose width differs by layer",
    "GroveMoeForCausalLM": "experts that pairs of experts share",
    "IQuestLoopCoderForCausalLM": "gates between the runs of its layers",
    "LongcatFlashNgramForCausalLM": "tables of n-grams",
    "NemotronHPuzzleForCausalLM": "sizes that differ by layer, in block_configs",
    "PanguProMoEV2ForCausalLM": "learned keys and values that every token reads",
    "Step5ForCausalLM": "its gates and sparse attention",
    "TalkieForCausalLM": "its learned scales in place of norms",
}

REASONS = {name: each.reason for each in _REFUSED for name in each.types.split()}  # by model_type
REASONS_OF_GGUF = {name: each.reason for each in _REFUSED for name in each.gguf.split()}  # by general.architecture


def why_refused(model_type: str) -> str | None:
    """What stands after "model_type x is", where it is known not to be a decoder that is counted; None where it is not."""
    return REASONS.get(model_type)


def what_is_missing(classes: object) -> str | None:
    """What stands after "is unknown", where runtimes know the first of the *classes* that a config names and it is not counted."""
    first = classes[0] if isinstance(classes, list) and classes else None
    missing = _MISSING.get(first) if isinstance(first, str) else None
    return f"{first} is run by vLLM or llama.cpp, but {missing} are not counted here" if missing else None
