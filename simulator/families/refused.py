"""Architectures that a config.json may name and that are no decoders of text: why each is refused."""

from __future__ import annotations

_ENCODERS = "an encoder, which reads a whole text at once: it does not write one token after another"
_PAIRS = (
    "an encoder and a decoder, and only decoders are read from a config.json: "
    "describe it in a YAML file, as that of switch-base does"
)
_SOUNDS = "for sound: it does not write text one token after another"
_PICTURES = "for pictures: it does not write text"
_SERIES = "for series of numbers: it does not write text"
_DRAFTS = "a draft model, which works only beside the model that it drafts for"

_GROUPS: dict[str, str] = {
    _ENCODERS: "albert bert bert-generation big_bird camembert canine convbert data2vec-text deberta deberta-v2 distilbert electra "
    "embedding_gemma2 embedding_gemma2_text ernie esm esmc eurobert flaubert fnet funnel gte ibert jina_embeddings_v3 layoutlm "
    "layoutlmv2 layoutlmv3 longformer luke markuplm megatron-bert mobilebert modernbert mpnet mra neomme nomic_bert nystromformer "
    "perceiver rembert roberta roberta-prelayernorm roc_bert roformer splinter squeezebert tapas ultrabert xlm-roberta "
    "xlm-roberta-xl xmod yoso",
    _PAIRS: "bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder fsmt led longt5 m2m_100 marian mbart mt5 mvp nllb-moe "
    "pegasus pegasus_x plbart prophetnet seamless_m4t seamless_m4t_v2 speech-encoder-decoder speech_to_text switch_transformers t5 "
    "t5gemma umt5 whisper moonshine moonshine_streaming canary canary_decoder cohere_asr trocr nougat rag "
    "t5gemma2 t5gemma2_decoder t5gemma2_encoder t5gemma2_text udop pix2struct pix2struct_text_model pp_formulanet pp_formulanet_text",
    _SOUNDS: "audio-spectrogram-transformer bark clap csm dac dia encodec fastspeech2_conformer higgs_audio_v2 hubert mimi musicgen "
    "musicgen_decoder musicgen_melody musicgen_melody_decoder parakeet_ctc parakeet_rnnt parakeet_tdt pocket_tts pop2piano sew "
    "speecht5 unispeech univnet vibevoice vits wav2vec2 wav2vec2-bert wav2vec2-conformer wavlm xcodec",
    _PICTURES: "align beit clip conditional_detr convnext convnextv2 data2vec-vision deit depth_anything detr dinov2 dinov3_vit "
    "dpt efficientnet grounding-dino imagegpt mask2former mobilenet_v2 mobilevit owlv2 owlvit pixtral resnet rt_detr sam sam2 sam3 "
    "segformer siglip siglip2 siglip_vision_model swin swinv2 timm_backbone timm_wrapper videomae vilt vit vit_mae vitpose yolos",
    _SERIES: "autoformer decision_transformer informer patchtsmixer patchtst time_series_transformer timesfm timesfm2_5",
    _DRAFTS: "gemma4_assistant gemma4_unified_assistant muse_glimmer_assistant",
    "a decoder of bytes whose large part runs once for each patch of them, and how long patches are depends on the text": "blt",
    "one whose attention sorts tokens into buckets by hashing, so what a token reads depends on the text": "reformer",
    "one that keeps no keys and values: it reads the whole text again for each token": "xlm",
    "one trained on permutations: for each token it reads the two before it and a placeholder again": "xlnet",
    "a writer of captions that keeps the features of its picture in its cache, and its config does not say how many": "git",
    "one that keeps all that it read and a window of what it wrote, and how much of a context is which is not asked": "unlimited_ocr "
    "unlimited_ocr_text",
    "a model that moves a robot: it makes a number of movements at a time, in steps, and no text": "pi0",
    "a diffusion model: it writes many tokens at a time, in steps": "diffusion_gemma diffusion_gemma_text Dream dream "
    "llada llada_moe llada2_moe rnd1",
}

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

REASONS: dict[str, str] = {name: reason for reason, names in _GROUPS.items() for name in names.split()}


def why_refused(model_type: str) -> str | None:
    """What stands after "model_type x is", where it is known not to be a decoder that is counted; None where it is not."""
    return REASONS.get(model_type)


def what_is_missing(classes: object) -> str | None:
    """What stands after "is unknown", where runtimes know the first of the *classes* that a config names and it is not counted."""
    first = classes[0] if isinstance(classes, list) and classes else None
    missing = _MISSING.get(first) if isinstance(first, str) else None
    return f"{first} is run by vLLM or llama.cpp, but {missing} are not counted here" if missing else None
