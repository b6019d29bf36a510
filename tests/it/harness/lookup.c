/* Prints the addresses that the C library has for a name, sorted: lookup NAME. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) { return strcmp(a, b); }

int main(int count, char **words) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    static char shown[512][NI_MAXHOST];
    size_t number = 0;
    int outcome = count == 2 ? getaddrinfo(words[1], NULL, &hints, &found) : EAI_FAIL;
    if (outcome != 0) {
        printf("%s\n", gai_strerror(outcome));
        return 1;
    }
    for (; found && number < 512; found = found->ai_next)
        if (getnameinfo(found->ai_addr, found->ai_addrlen, shown[number], NI_MAXHOST, NULL, 0, NI_NUMERICHOST) == 0) number++;
    qsort(shown, number, NI_MAXHOST, compare);
    for (size_t i = 0; i < number; i++) printf("%s\n", shown[i]);
    return 0;
}
