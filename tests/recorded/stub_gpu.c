// A GPU that allocates and computes nothing, so that llama.cpp's scheduler and its --fit run without one. Its rules are those of
// ggml-cuda in b11549: buffers of its own, aligned to 128 bytes, rows of quantised tensors padded to 512 values, and operations of
// 32 tokens or more taken over from the host.

#include <stdlib.h>
#include <string.h>

#include "ggml-backend-impl.h"
#include "ggml-impl.h"

#define MOST 8
static int n_devices, numbers[MOST];
static size_t free_bytes[MOST];
static char names[MOST][8];
static struct ggml_backend_device devices[MOST];
static struct ggml_backend_buffer_type types[MOST];
static struct ggml_backend_reg registry;
static ggml_guid guid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static int number_of(const void *context) { return *(const int *)context; }

static void ignore_buffer(ggml_backend_buffer_t b) { (void)b; }
static void *base_of(ggml_backend_buffer_t b) { (void)b; return (void *)0x1000; }
static void clear(ggml_backend_buffer_t b, uint8_t v) { (void)b; (void)v; }
static void fill(ggml_backend_buffer_t b, struct ggml_tensor *t, uint8_t v, size_t o, size_t n) { (void)b; (void)t; (void)v; (void)o; (void)n; }
static void set(ggml_backend_buffer_t b, struct ggml_tensor *t, const void *d, size_t o, size_t n) { (void)b; (void)t; (void)d; (void)o; (void)n; }
static void get(ggml_backend_buffer_t b, const struct ggml_tensor *t, void *d, size_t o, size_t n) { (void)b; (void)t; (void)d; (void)o; (void)n; }

static const char *type_name(ggml_backend_buffer_type_t type) { return names[number_of(type->context)]; }
static size_t alignment(ggml_backend_buffer_type_t type) { (void)type; return 128; }
static bool is_host(ggml_backend_buffer_type_t type) { (void)type; return false; }
static ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
    struct ggml_backend_buffer_i how = {0};
    how.free_buffer = ignore_buffer;
    how.get_base = base_of;
    how.memset_tensor = fill;
    how.set_tensor = set;
    how.get_tensor = get;
    how.clear = clear;
    return ggml_backend_buffer_init(type, how, NULL, size);
}
static size_t size_of(ggml_backend_buffer_type_t type, const struct ggml_tensor *t) {
    (void)type;
    size_t size = ggml_nbytes(t);
    if (ggml_is_quantized(t->type) && t->ne[0] % 512) size += ggml_row_size(t->type, 512 - t->ne[0] % 512);
    return size;
}

static const char *backend_name(ggml_backend_t b) { return names[number_of(b->context)]; }
static void free_backend(ggml_backend_t b) { free(b); }
static void wait_backend(ggml_backend_t b) { (void)b; }
static void on_event(ggml_backend_t b, ggml_backend_event_t e) { (void)b; (void)e; }
static enum ggml_status compute(ggml_backend_t b, struct ggml_cgraph *g) { (void)b; (void)g; return GGML_STATUS_SUCCESS; }
static ggml_backend_t start(ggml_backend_dev_t device, const char *options) {
    (void)options;
    struct ggml_backend *b = calloc(1, sizeof *b);
    b->guid = &guid;
    b->device = device;
    b->context = device->context;
    b->iface.get_name = backend_name;
    b->iface.free = free_backend;
    b->iface.synchronize = wait_backend;
    b->iface.graph_compute = compute;
    b->iface.event_record = on_event;
    b->iface.event_wait = on_event;
    return b;
}

static const char *device_name(ggml_backend_dev_t device) { return names[number_of(device->context)]; }
static enum ggml_backend_dev_type kind(ggml_backend_dev_t device) { (void)device; return GGML_BACKEND_DEVICE_TYPE_GPU; }
static void memory(ggml_backend_dev_t device, size_t *rest, size_t *all) { *rest = *all = free_bytes[number_of(device->context)]; }
static void properties(ggml_backend_dev_t device, struct ggml_backend_dev_props *found) {
    memset(found, 0, sizeof *found);
    found->name = found->description = device_name(device);
    found->type = kind(device);
    memory(device, &found->memory_free, &found->memory_total);
    found->caps.async = found->caps.events = found->caps.mmap_support = true;
}
static ggml_backend_buffer_type_t own_type(ggml_backend_dev_t device) { return &types[number_of(device->context)]; }
static bool has_own(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) { return type == own_type(device); }
static bool runs(ggml_backend_dev_t device, const struct ggml_tensor *op) {
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        if (!op->src[i] || !op->src[i]->buffer) continue;
        ggml_backend_buffer_type_t type = op->src[i]->buffer->buft;
        if (type >= types && type < types + MOST && type != own_type(device)) return false;
    }
    return true;
}
static bool takes_over(ggml_backend_dev_t device, const struct ggml_tensor *op) {
    (void)device;
    switch (op->op) {
        case GGML_OP_GET_ROWS: return false;
        case GGML_OP_MUL_MAT: return op->ne[1] >= 32;
        case GGML_OP_MUL_MAT_ID:
        case GGML_OP_ROPE: return op->ne[2] >= 32;
        default: return ggml_nrows(op) >= 32;
    }
}
static ggml_backend_event_t new_event(ggml_backend_dev_t device) {
    ggml_backend_event_t e = calloc(1, sizeof *e);
    e->device = device;
    return e;
}
static void free_event(ggml_backend_dev_t device, ggml_backend_event_t e) { (void)device; free(e); }
static void wait_event(ggml_backend_dev_t device, ggml_backend_event_t e) { (void)device; (void)e; }

static const char *registry_name(ggml_backend_reg_t r) { (void)r; return "stub"; }
static size_t count(ggml_backend_reg_t r) { (void)r; return n_devices; }
static ggml_backend_dev_t device_at(ggml_backend_reg_t r, size_t i) { (void)r; return &devices[i]; }
static void *nothing(ggml_backend_reg_t r, const char *name) { (void)r; (void)name; return NULL; }

void stub_register(int n, const size_t *bytes) {
    n_devices = n;
    for (int i = 0; i < n; i++) {
        numbers[i] = i;
        free_bytes[i] = bytes[i];
        strcpy(names[i], "CUDA0");
        names[i][4] += i;
        devices[i] = (struct ggml_backend_device){.reg = &registry, .context = &numbers[i]};
        devices[i].iface = (struct ggml_backend_device_i){
            .get_name = device_name, .get_description = device_name, .get_memory = memory, .get_type = kind, .get_props = properties,
            .init_backend = start, .get_buffer_type = own_type, .supports_op = runs, .supports_buft = has_own,
            .offload_op = takes_over, .event_new = new_event, .event_free = free_event, .event_synchronize = wait_event};
        types[i] = (struct ggml_backend_buffer_type){.device = &devices[i], .context = &numbers[i]};
        types[i].iface = (struct ggml_backend_buffer_type_i){
            .get_name = type_name, .alloc_buffer = allocate, .get_alignment = alignment, .get_alloc_size = size_of, .is_host = is_host};
    }
    registry.api_version = GGML_BACKEND_API_VERSION;
    registry.iface = (struct ggml_backend_reg_i){
        .get_name = registry_name, .get_device_count = count, .get_device = device_at, .get_proc_address = nothing};
    ggml_backend_register(&registry);
}
