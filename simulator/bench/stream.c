/* How fast threads read memory, or add two arrays into a third, as a plain C loop: what our own probes are compared with.

   stream KIND BYTES THREADS

   KIND is "read" (one array) or "triad" (three arrays of equal parts of BYTES). Each thread has its own part of each array,
   which it also touches first. Then each line on standard input is a number of passes, and the answer to it is the seconds
   that they took and the sum of all 32-bit words that were read, or the first of the sums that were written. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#ifdef __linux__
#include <sched.h>
#endif

enum { ROUND = 512, MOST_THREADS = 1024 };  /* parts are multiples of so many bytes, as ours are */
static const float FILL = 1.1f;  /* 0x3f8ccccd */

typedef struct {
    pthread_t id;
    float *first, *second, *third;
    size_t count;  /* floats of each array */
    uint32_t sum;
} Part;

static Part parts[MOST_THREADS];
static int n_threads, is_read;
static long passes;
static atomic_int done;
static long turn;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t begun = PTHREAD_COND_INITIALIZER;

/* The sum of all words. */
static uint32_t read_words(const uint32_t *restrict first, size_t count) {
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += first[i];
    return sum;
}

/* first = second + 3 * third */
static void triad(float *restrict first, const float *restrict second, const float *restrict third, size_t count) {
    for (size_t i = 0; i < count; i++) first[i] = second[i] + 3.0f * third[i];
}

static void work(Part *part) {
    for (long pass = 0; pass < passes; pass++) {
        if (is_read)
            part->sum += read_words((const uint32_t *)part->first, part->count);
        else
            triad(part->first, part->second, part->third, part->count);
        __asm__ volatile("" ::: "memory");  /* a pass is not the same as the last one, for all the compiler knows */
    }
}

static void touch(Part *part) {
    float *arrays[3] = {part->first, part->second, part->third};
    for (int number = 0; number < (is_read ? 1 : 3); number++)
        for (size_t i = 0; i < part->count; i++) arrays[number][i] = FILL;
}

/* A thread's life: it sleeps until there is something to do. */
static void *member(void *part) {
    for (long seen = 0;; seen++) {
        pthread_mutex_lock(&lock);
        while (turn == seen) pthread_cond_wait(&begun, &lock);
        pthread_mutex_unlock(&lock);
        if (passes) work(part); else touch(part);
        atomic_fetch_add(&done, 1);
    }
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

/* Keeps a thread on a core of its own where there is one for each, as ours are kept. */
static void stay(int number) {
#ifdef __linux__
    cpu_set_t mine, one;
    if (sched_getaffinity(0, sizeof mine, &mine) || CPU_COUNT(&mine) != n_threads) return;
    for (int core = 0, seen = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &mine) && seen++ == number) {
            CPU_ZERO(&one);
            CPU_SET(core, &one);
            pthread_setaffinity_np(parts[number].id, sizeof one, &one);
        }
#else
    (void)number;
#endif
}

/* Seconds of some passes by all threads. No passes: memory is touched. */
static double run(long count) {
    passes = count;
    for (int number = 0; number < n_threads; number++) parts[number].sum = 0;
    atomic_store(&done, 0);
    double start = now();
    pthread_mutex_lock(&lock);
    turn++;
    pthread_cond_broadcast(&begun);
    pthread_mutex_unlock(&lock);
    if (passes) work(&parts[0]); else touch(&parts[0]);
    while (atomic_load(&done) < n_threads - 1) {}
    return now() - start;
}

/* Memory as numpy takes it: straight from the system, in large pages where it gives them. */
static char *memory_of(size_t nbytes) {
    char *memory = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED) exit(3);
#ifdef MADV_HUGEPAGE
    madvise(memory, nbytes, MADV_HUGEPAGE);
#endif
    return memory;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    is_read = !strcmp(argv[1], "read");
    n_threads = atoi(argv[3]);
    int n_arrays = is_read ? 1 : 3;
    size_t rounds = (size_t)atoll(argv[2]) / n_arrays / ROUND;
    if (n_threads < 1 || n_threads > MOST_THREADS || !rounds) return 2;
    char *memory = memory_of(n_arrays * rounds * ROUND);
    for (int number = 0; number < n_threads; number++) {
        size_t first = rounds * number / n_threads, last = rounds * (number + 1) / n_threads;
        char *start = memory + first * ROUND;
        size_t next = is_read ? 0 : rounds * ROUND;
        parts[number].first = (float *)start;
        parts[number].second = (float *)(start + next);
        parts[number].third = (float *)(start + 2 * next);
        parts[number].count = (last - first) * ROUND / sizeof(float);
    }
    for (int number = 1; number < n_threads; number++) {
        if (pthread_create(&parts[number].id, NULL, member, &parts[number])) exit(3);
        stay(number);
    }
    run(0);
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        long count = atol(line);
        if (count < 1) return 2;
        double seconds = run(count);
        uint32_t sum = 0;
        for (int number = 0; number < n_threads; number++) sum += parts[number].sum;
        printf("%.9f %.10g\n", seconds, is_read ? (double)sum : (double)parts[0].first[0]);
        fflush(stdout);
    }
    return 0;
}
