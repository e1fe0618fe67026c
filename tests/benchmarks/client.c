/* Drives a server and is never its bottleneck: canned batches, replies counted by length into one buffer.
 *
 *   client HOST PORT CONNECTIONS SECONDS BATCHES REQUESTS REPLY_BYTES PREAMBLE PREAMBLE_BYTES
 *
 * Opens the connections, has on each the PREAMBLE answered by so many bytes, and prints "started". Then each
 * connection sends REQUESTS, takes REPLY_BYTES, and again, until BATCHES are complete (0: no limit), the
 * SECONDS are over, or SIGTERM comes. Then it prints one JSON object; client.py says the same in Python.
 * Whatever goes wrong is one line on standard error and the exit status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 256 * 1024, /* fits the second-level cache */
    STALL_SECONDS = 30,        /* a server that says nothing for so long has failed */
    SAMPLES = 1 << 22,         /* round trips whose time is kept; later ones are only counted */
    EVENTS = 512,
};

struct connection {
    int descriptor;
    uint64_t missing;      /* bytes of the reply under way */
    int64_t began;         /* when its batch was sent, in nanoseconds */
};

static volatile sig_atomic_t is_stopped;
static char buffer[BUFFER_BYTES];
static uint32_t *samples; /* nanoseconds, up to 4.2 seconds */
static uint64_t batches, bytes;

static void stop(int number)
{
    (void)number;
    is_stopped = 1;
}

static void fail(const char *what)
{
    fprintf(stderr, "client: %s: %s\n", what, errno ? strerror(errno) : "the server closed the connection");
    exit(1);
}

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void say(int descriptor, const char *text)
{
    size_t left = strlen(text);
    while (left) {
        ssize_t sent = send(descriptor, text, left, MSG_NOSIGNAL);
        if (sent < 0)
            fail("send");
        text += sent;
        left -= sent;
    }
}

/* Take at most so many bytes; 0 if a signal came first. */
static uint64_t take(int descriptor, uint64_t most)
{
    ssize_t got = recv(descriptor, buffer, most < BUFFER_BYTES ? most : BUFFER_BYTES, 0);
    if (got > 0)
        return got;
    if (got < 0 && errno == EINTR)
        return 0;
    if (got == 0)
        errno = 0;
    fail(errno == EAGAIN ? "no reply for 30 s" : "receive");
    return 0;
}

static int reach(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = STALL_SECONDS};
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0)
        fail("socket");
    inet_pton(AF_INET, host, &address.sin_addr);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    return descriptor;
}

static int by_size(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static double microseconds(double quantile)
{
    uint64_t count = batches < SAMPLES ? batches : SAMPLES;
    return count ? samples[(uint64_t)(quantile * (count - 1))] / 1e3 : 0.0;
}

static void begin(struct connection *connection, const char *requests, uint64_t reply_bytes)
{
    connection->missing = reply_bytes;
    connection->began = now(CLOCK_MONOTONIC);
    say(connection->descriptor, requests);
}

int main(int count, char **arguments)
{
    if (count != 10) {
        fprintf(stderr, "client: nine arguments are needed\n");
        return 2;
    }
    int port = atoi(arguments[2]), connections = atoi(arguments[3]);
    double seconds = atof(arguments[4]);
    uint64_t most_batches = strtoull(arguments[5], NULL, 10), reply_bytes = strtoull(arguments[7], NULL, 10);
    const char *requests = arguments[6], *preamble = arguments[8];

    struct sigaction action = {.sa_handler = stop}; /* without SA_RESTART: a wait ends */
    sigaction(SIGTERM, &action, NULL);
    samples = malloc(sizeof *samples * SAMPLES);
    struct connection *all = calloc(connections, sizeof *all);
    int poller = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        all[i].descriptor = reach(arguments[1], port);
        say(all[i].descriptor, preamble);
        for (uint64_t missing = strtoull(arguments[9], NULL, 10); missing;)
            missing -= take(all[i].descriptor, missing);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, all[i].descriptor, &event) < 0)
            fail("epoll");
    }
    puts("started");
    fflush(stdout);

    int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), start = now(CLOCK_MONOTONIC), time = start;
    int64_t deadline = start + (int64_t)(seconds * 1e9);
    for (int i = 0; i < connections; i++)
        begin(&all[i], requests, reply_bytes);
    struct epoll_event events[EVENTS] = {{.data.ptr = &all[0]}};
    while (!is_stopped && time < deadline && (!most_batches || batches < most_batches)) {
        /* A lone connection needs no poll: recv waits by itself. */
        int ready = connections == 1 ? 1 : epoll_wait(poller, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            uint64_t got = take(connection->descriptor, connection->missing);
            bytes += got;
            connection->missing -= got;
            if (connection->missing)
                continue;
            int64_t lasted = now(CLOCK_MONOTONIC) - connection->began;
            if (batches < SAMPLES)
                samples[batches] = lasted < UINT32_MAX ? lasted : UINT32_MAX;
            batches++;
            if (most_batches && batches >= most_batches)
                break;
            begin(connection, requests, reply_bytes);
        }
        time = now(CLOCK_MONOTONIC);
    }
    time = now(CLOCK_MONOTONIC);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(samples, batches < SAMPLES ? batches : SAMPLES, sizeof *samples, by_size);
    printf("{\"batches\": %llu, \"bytes\": %llu, \"seconds\": %.9f, \"cpu_seconds\": %.9f, "
           "\"p50_us\": %.3f, \"p99_us\": %.3f, \"max_us\": %.3f}\n",
           (unsigned long long)batches, (unsigned long long)bytes, (time - start) / 1e9, cpu / 1e9,
           microseconds(0.5), microseconds(0.99), microseconds(1.0));
    return 0;
}
