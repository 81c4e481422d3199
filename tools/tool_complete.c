/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a shell offers at a place in a command line, from the table of commands alone.
 *
 * What belongs to a place is read off its placeholder in the usage: SOCKET, FILE, REGION,
 * IRQ and the like; "save|restore" in lower case stands for itself. The shell's part is
 * completion/vfu.
 */
#include "tools/frame.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PLACEHOLDER 64
#define MAX_FORMS 8     /* of a usage */

/* Placeholders and what may stand there; ":socket" and ":file" are for the shell. */
static const struct {
    const char *placeholder, *candidates;
} places[] = {
    { "SOCKET",      ":socket" },
    { "TARGET",      ":socket" },
    { "SOURCE",      ":socket" },
    { "DESTINATION", ":socket" },
    { "LISTEN",      ":file" },
    { "FILE",        ":file" },
    { "OUT",         ":file" },
    { "RECORDING",   ":file" },
    { "REGION",      "bar0|bar1|bar2|bar3|bar4|bar5|rom|config|vga" },
    { "IRQ",         "intx|msi|msix|err|req" },
    { "INDEX",       "intx|msi|msix|err|req" },
    { "WHEN",        "auto|always|never" },
    { "FEATURE",     "migration|mig-device-state|dma-logging-start|dma-logging-stop|"
                     "dma-logging-report" },
};

/* The words before the one to be completed, as far as they matter. */
struct line {
    char **words;
    int n_words;                /* the one to be completed is words[n_words] */
    const char *current;        /* that word, as far as it is typed */
    const struct tool_command *command;     /* NULL: not typed yet */
    bool help;                  /* the command is "help" */
    bool only_arguments;        /* "--" was typed */
    const struct tool_option *pending;      /* an option that waits for its value */
    char **arguments;           /* owned, borrowed entries */
    int n_arguments;
};

/* ------------------------------------------------------------- candidates -- */

static void offer(const char *candidate, size_t len, const char *typed)
{
    if (candidate[0] == ':' || (strlen(typed) <= len &&
                                strncmp(candidate, typed, strlen(typed)) == 0))
        printf("%.*s\n", (int)len, candidate);
}

static void offer_list(const char *list, const char *typed)
{
    for (;;) {
        size_t len = strcspn(list, "|");

        offer(list, len, typed);
        if (list[len] == '\0')
            return;
        list += len + 1;
    }
}

static bool is_literal(const char *placeholder)
{
    return islower((unsigned char)placeholder[0]) ||
           isdigit((unsigned char)placeholder[0]);
}

static void offer_place(const char *placeholder, const char *typed)
{
    if (is_literal(placeholder)) {
        offer_list(placeholder, typed);
        return;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strcmp(places[i].placeholder, placeholder) == 0)
            offer_list(places[i].candidates, typed);
    }
}

static void offer_commands(const char *typed)
{
    for (size_t i = 0; tool_commands[i] != NULL; i++)
        offer(tool_commands[i]->name, strlen(tool_commands[i]->name), typed);
    offer("help", 4, typed);
}

static void offer_options(const struct line *line)
{
    const struct tool_option *tables[] = {
        line->command != NULL ? line->command->options : NULL, tool_common_options
    };

    for (size_t i = 0; i < 2; i++) {
        for (const struct tool_option *o = tables[i]; o != NULL && o->letter != 0; o++) {
            char name[64];

            snprintf(name, sizeof(name), "--%s", o->name);
            if (tool_option_applies(line->command, o))
                offer(name, strlen(name), line->current);
        }
    }
    if (line->command == NULL)
        offer("--version", 9, line->current);
}

/* -------------------------------------------------------------- arguments -- */

/* The next word of a form of usage, without its brackets. False at the form's end.
 * *repeats: it ended in "...". */
static bool next_placeholder(const char **form, char *name, bool *repeats)
{
    const char *at = *form + strspn(*form, " [");
    size_t len = strcspn(at, " \n"), bare = 0;

    if (len == 0)
        return false;
    while (bare < len && bare < MAX_PLACEHOLDER - 1 && at[bare] != '.' &&
           at[bare] != ']' && at[bare] != '[')
        bare++;
    snprintf(name, MAX_PLACEHOLDER, "%.*s", (int)bare, at);
    *repeats = memmem(at, len, "...", 3) != NULL;
    *form = at + len;
    return true;
}

static bool in_list(const char *list, const char *word)
{
    size_t word_len = strlen(word);

    for (;;) {
        size_t len = strcspn(list, "|");

        if (len == word_len && strncmp(list, word, len) == 0)
            return true;
        if (list[len] == '\0')
            return false;
        list += len + 1;
    }
}

/* One form of the usage: the placeholder behind the arguments that are there. False: they
 * do not fit, or nothing follows. */
static bool find_place(const char *form, const struct line *line, char *name)
{
    bool repeats = false;

    for (int i = 0; i <= line->n_arguments; i++) {
        if (!repeats && !next_placeholder(&form, name, &repeats))
            return false;
        if (i < line->n_arguments && is_literal(name) &&
            !in_list(name, line->arguments[i]))
            return false;
    }
    return true;
}

/* Of all forms of the usage, each place once. */
static void offer_arguments(const struct line *line)
{
    char names[MAX_FORMS][MAX_PLACEHOLDER];
    const char *form = line->command->usage;
    size_t n = 0;

    while (form != NULL && n < MAX_FORMS) {
        bool known = !find_place(form, line, names[n]);

        for (size_t i = 0; i < n; i++)
            known |= strcmp(names[i], names[n]) == 0;
        if (!known)
            offer_place(names[n++], line->current);
        form = strchr(form, '\n');
        if (form != NULL)
            form++;
    }
}

/* ---------------------------------------------------------------- reading -- */

static const struct tool_option *find_in(const struct tool_option *o, const char *word,
                                         size_t len)
{
    for (; o != NULL && o->letter != 0; o++) {
        if (len == 2 && word[1] == o->letter)
            return o;
        if (len > 2 && strlen(o->name) == len - 2 &&
            strncmp(o->name, word + 2, len - 2) == 0)
            return o;
    }
    return NULL;
}

static const struct tool_option *find_option(const struct line *line, const char *word)
{
    size_t len = strcspn(word, "=");
    const struct tool_option *o =
        find_in(line->command != NULL ? line->command->options : NULL, word, len);

    return o != NULL ? o : find_in(tool_common_options, word, len);
}

static void read_option(struct line *line, const char *word)
{
    const struct tool_option *o = find_option(line, word);

    if (o != NULL && o->arg != NULL && strchr(word, '=') == NULL)
        line->pending = o;
}

/* A word before the current one. bash takes "--name=value" apart: "=" is a word there. */
static void read_word(struct line *line, char *word)
{
    if (line->pending != NULL) {
        if (strcmp(word, "=") != 0)
            line->pending = NULL;
    } else if (!line->only_arguments && strcmp(word, "--") == 0) {
        line->only_arguments = true;
    } else if (!line->only_arguments && word[0] == '-' && word[1] != '\0') {
        read_option(line, word);
    } else if (line->command == NULL && !line->help) {
        line->command = tool_command_find(word);
        line->help = strcmp(word, "help") == 0;
        line->only_arguments |= line->command == NULL && !line->help;
    } else {
        line->arguments[line->n_arguments++] = word;
    }
}

static void offer_here(const struct line *line)
{
    if (line->pending != NULL)
        offer_place(line->pending->arg,
                    strcmp(line->current, "=") == 0 ? "" : line->current);
    else if (line->help)
        offer_commands(line->n_arguments == 0 ? line->current : "?");
    else if (line->current[0] == '-' && !line->only_arguments)
        offer_options(line);
    else if (line->command != NULL)
        offer_arguments(line);
    else if (!line->only_arguments)     /* else an unknown command was typed */
        offer_commands(line->current);
}

int tool_complete(int argc, char **argv)
{
    struct line line = { .current = "" };
    uint64_t index;

    if (argc < 3 || tool_number(argv[1], "INDEX", (uint64_t)argc, &index) != 0)
        return TOOL_USAGE;
    line.words = argv + 2;
    line.n_words = (int)index < argc - 2 ? (int)index : argc - 2;
    if (line.n_words < argc - 2)
        line.current = line.words[line.n_words];
    line.arguments = calloc((size_t)argc, sizeof(*line.arguments));
    if (line.arguments == NULL)
        return TOOL_FAILED;
    for (int i = 1; i < line.n_words; i++)
        read_word(&line, line.words[i]);
    offer_here(&line);
    free(line.arguments);
    return TOOL_OK;
}
