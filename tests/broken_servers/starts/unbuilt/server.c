/* A server that nobody has built: the command that starts it names a binary that is not there.
 * Built, it serves one client at a time, knows only quit, and answers 200 to everything else. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(int client)
{
    FILE *lines = fdopen(client, "r+");
    char line[8192];

    if (lines == NULL) {
        close(client);
        return;
    }
    while (fgets(line, sizeof line, lines) != NULL) {
        int is_quit = strcmp(line, "quit\r\n") == 0;
        const char *reply = is_quit ? "0 OK\r\n" : "200 NO SUCH COMMAND\r\n";

        if (send(client, reply, strlen(reply), MSG_NOSIGNAL) < 0 || is_quit)
            break;
    }
    fclose(lines);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;

    address.sin_port = htons(argc > 1 ? atoi(argv[1]) : 19500);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 5) < 0) {
        perror("cannot listen");
        return EXIT_FAILURE;
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);

        if (client >= 0)
            serve(client);
    }
}
