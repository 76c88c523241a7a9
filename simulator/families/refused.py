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
    "a diffusion model: it writes many tokens at a time, in steps": "diffusion_gemma diffusion_gemma_text dream llada",
}

REASONS: dict[str, str] = {name: reason for reason, names in _GROUPS.items() for name in names.split()}


def why_refused(model_type: str) -> str | None:
    """What stands after "model_type x is", where it is known not to be a decoder that is counted; None where it is not."""
    return REASONS.get(model_type)
