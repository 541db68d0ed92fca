/* SPDX-License-Identifier: ISC */
/*
 * peak: runs a command and writes the largest resident set that it had, in KiB, to a file.
 *
 *     peak FILE COMMAND...
 *
 * Ends as the command does: with its status, or by its signal.  The resource usage that a process
 * has of a child begins with the memory of whoever started it, so a large one (pytest) cannot tell
 * that of a small one by itself.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage used;
    int status;
    if (argc < 3) {
        fputs("usage: peak FILE COMMAND...\n", stderr);
        return 64;
    }
    pid_t child = fork();
    if (child == 0) {
        execv(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    signal(SIGTERM, SIG_IGN); /* which the whole session gets */
    if (child < 0 || wait4(child, &status, 0, &used) != child) {
        perror("peak");
        return 71;
    }
    FILE *out = fopen(argv[1], "w");
    if (!out || fprintf(out, "%ld\n", used.ru_maxrss) < 0 || fclose(out) != 0) {
        perror(argv[1]);
        return 74;
    }
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}
