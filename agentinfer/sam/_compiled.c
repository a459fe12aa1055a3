/* The compiled path of agentinfer.sam: what _plain.py does, with the same results. See there for the why. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define NONE UINT32_MAX
#define CONTEXT 64
#define MAX_TOKENS (1u << 30)
#define OWN (1u << 31) /* marks the tokens that the model wrote */
#define TOKEN(entry) ((entry) & ~OWN)
#define RELEASE_AT 2000 /* tokens from which on other threads may run meanwhile */

/* How likely a continuation is */

#define LENGTHS 14
#define RUNS 8
#define KINDS 6
#define ALONE (LENGTHS * RUNS * KINDS)
#define COARSE 6
#define HISTORY 5
#define FATES 3
#define BESIDE (COARSE * (1 << HISTORY) * FATES * KINDS)
#define CELLS (ALONE + 3 * BESIDE)
#define PRIOR_WEIGHT 2.0
#define MOST_TRIES 255.0

enum { AGREED, OPPOSED, FOLLOWED }; /* relations of the two candidates */
enum { UNKNOWN, KEPT, CHANGED };    /* fates */

typedef struct {
    PyObject_HEAD
    double tries[CELLS];
    double hits[CELLS];
} Calibration;

static const uint32_t LENGTH_STEPS[LENGTHS - 1] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 64};
static const uint32_t RUN_STEPS[RUNS - 1] = {2, 3, 4, 6, 10, 20, 60};
static const uint32_t COARSE_STEPS[COARSE - 1] = {2, 3, 5, 9, 17};

static int bucket(uint32_t value, const uint32_t *steps, int count) {
    int found = 0;
    while (found < count && value >= steps[found]) found++;
    return found;
}

static int cell_of(uint32_t length, uint32_t count, uint32_t run, uint32_t entry) {
    int kind = (count == 1 ? 0 : run == count ? 1 : 2) + (entry & OWN ? 3 : 0);
    int row = bucket(length, LENGTH_STEPS, LENGTHS - 1) * RUNS + bucket(run, RUN_STEPS, RUNS - 1);
    return row * KINDS + kind;
}

static int beside(int relation, uint32_t length, uint32_t history, int fate, int kind) {
    int row = (relation * COARSE + bucket(length, COARSE_STEPS, COARSE - 1)) << HISTORY | (int)history;
    return ALONE + (row * FATES + fate) * KINDS + kind;
}

static double priors[ALONE], priors_beside[2][FATES][ALONE], priors_followed[HISTORY + 1][FATES];

static int bits(uint32_t value) {
    int count = 0;
    for (; value; value &= value - 1) count++;
    return count;
}

static double logistic(double odds) { return 1.0 / (1.0 + exp(-odds)); }

static void set_priors(void) {
    static const double kinds[KINDS] = {0.0, -1.6, -2.0, 0.2, 0.3, -1.4}, fates[FATES] = {0.0, 0.7, -0.7};
    for (int cell = 0; cell < ALONE; cell++) {
        int kind = cell % KINDS, run = cell / KINDS % RUNS, length = cell / (KINDS * RUNS);
        double odds = -0.6 + 0.17 * length + 0.16 * (length < 4 ? length : 4) + 0.41 * run + (run ? 0.6 : 0.0);
        odds += kinds[kind];
        priors[cell] = logistic(odds);
        for (int fate = 0; fate < FATES; fate++) {
            priors_beside[AGREED][fate][cell] = logistic(odds + 0.7 + fates[fate]);
            priors_beside[OPPOSED][fate][cell] = logistic(odds - 0.5 - fates[fate]);
        }
    }
    for (int hits = 0; hits <= HISTORY; hits++)
        for (int fate = 0; fate < FATES; fate++) priors_followed[hits][fate] = logistic(-1.6 + 0.7 * hits + fates[fate]);
}

static double likelihood(const Calibration *self, int cell, double prior) {
    return (self->hits[cell] + PRIOR_WEIGHT * prior) / (self->tries[cell] + PRIOR_WEIGHT);
}

static void learn(Calibration *self, int cell, int hit) {
    if (self->tries[cell] >= MOST_TRIES) {
        self->tries[cell] *= 0.5;
        self->hits[cell] *= 0.5;
    }
    self->tries[cell] += 1.0;
    self->hits[cell] += hit;
}

static PyObject *Calibration_dump(Calibration *self, PyObject *ignored) {
    PyObject *list = PyList_New(0);
    for (int cell = 0; list != NULL && cell < CELLS; cell++) {
        double values[3] = {cell, self->tries[cell], self->hits[cell]};
        for (int i = 0; list != NULL && values[1] > 0.0 && i < 3; i++) {
            PyObject *value = PyFloat_FromDouble(values[i]);
            if (value == NULL || PyList_Append(list, value)) Py_CLEAR(list);
            Py_XDECREF(value);
        }
    }
    return list;
}

static PyObject *Calibration_load(Calibration *self, PyObject *given) {
    PyObject *fast = PySequence_Tuple(given);
    if (fast == NULL) return NULL;
    Py_ssize_t size = PyTuple_GET_SIZE(fast);
    double *read = PyMem_RawCalloc(2 * CELLS, sizeof *read), known = -1.0, values[3];
    int right = read != NULL && size % 3 == 0;
    for (Py_ssize_t i = 0; right && i < size; i++) {
        values[i % 3] = PyFloat_AsDouble(PyTuple_GET_ITEM(fast, i));
        right = !PyErr_Occurred();
        if (i % 3 < 2 || !right) continue;
        right = values[0] > known && values[0] < CELLS && values[0] == floor(values[0]) && values[2] >= 0.0 &&
                values[2] <= values[1] && values[1] <= MOST_TRIES + 1.0;
        if (!right) break;
        known = values[0];
        read[(int)known] = values[1];
        read[CELLS + (int)known] = values[2];
    }
    Py_DECREF(fast);
    if (right) {
        memcpy(self->tries, read, sizeof self->tries);
        memcpy(self->hits, read + CELLS, sizeof self->hits);
    } else if (read == NULL) {
        PyErr_NoMemory();
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "this is not what Calibration.dump gives");
    }
    PyMem_RawFree(read);
    if (!right) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef Calibration_methods[] = {
    {"dump", (PyCFunction)Calibration_dump, METH_NOARGS, NULL},
    {"load", (PyCFunction)Calibration_load, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject CalibrationType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "agentinfer.sam._compiled.Calibration",
    .tp_basicsize = sizeof(Calibration),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_methods = Calibration_methods,
};

/* The automaton */

typedef struct {
    uint32_t length, link;
    uint32_t token, target; /* the first transition */
    uint32_t more;          /* the latest of the others */
    uint32_t count, run, kept;
} State;

typedef struct {
    uint32_t state, token, target, next;
} Transition;

#define REACH 32
#define PATIENCE 8

/* The counterpart, in the text, of what the model writes */
typedef struct {
    uint32_t at, mark, misses, history;
} Trail;

static const Trail NOWHERE = {NONE, NONE, 0, 0};

typedef struct {
    PyObject_HEAD
    Calibration *calibration;
    State *states;
    uint32_t *text;
    uint8_t *fates; /* of each token of the text */
    Trail trail;
    Transition *transitions;
    uint32_t *table; /* places in `transitions`, found by hash */
    uint32_t state_count, state_room, text_count, text_room, fates_room, transition_count, transition_room, table_size;
    uint32_t whole;   /* the state of the whole text */
    uint32_t context; /* the state of its last CONTEXT tokens */
    int busy, broken;
} Automaton;

static uint32_t place_of(const Automaton *self, uint32_t state, uint32_t token) {
    uint64_t key = ((uint64_t)state << 32 | token) * 0x9E3779B97F4A7C15ull;
    return (uint32_t)(key >> 32) & (self->table_size - 1);
}

static Transition *find(const Automaton *self, uint32_t state, uint32_t token) {
    if (self->states[state].more == NONE) return NULL;
    for (uint32_t at = place_of(self, state, token); self->table[at] != NONE; at = (at + 1) & (self->table_size - 1)) {
        Transition *known = &self->transitions[self->table[at]];
        if (known->state == state && known->token == token) return known;
    }
    return NULL;
}

static uint32_t target_of(const Automaton *self, uint32_t state, uint32_t token) {
    const State *from = &self->states[state];
    if (from->target == NONE || from->token == token) return from->target;
    Transition *known = find(self, state, token);
    return known ? known->target : NONE;
}

static void enter(Automaton *self, uint32_t index) {
    uint32_t at = place_of(self, self->transitions[index].state, self->transitions[index].token);
    while (self->table[at] != NONE) at = (at + 1) & (self->table_size - 1);
    self->table[at] = index;
}

static int grow(void **array, uint32_t *room, uint32_t needed, size_t size) {
    if (needed <= *room) return 0;
    size_t more = (size_t)*room + *room / 4 + 64;
    void *moved = more < NONE ? PyMem_RawRealloc(*array, more * size) : NULL;
    if (moved == NULL) return -1;
    *array = moved;
    *room = (uint32_t)more;
    return 0;
}

static int set_target(Automaton *self, uint32_t state, uint32_t token, uint32_t target) {
    State *from = &self->states[state];
    if (from->target == NONE || from->token == token) {
        from->token = token;
        from->target = target;
        return 0;
    }
    Transition *known = find(self, state, token);
    if (known) {
        known->target = target;
        return 0;
    }
    if (grow((void **)&self->transitions, &self->transition_room, self->transition_count + 1, sizeof(Transition)))
        return -1;
    if ((uint64_t)(self->transition_count + 1) * 4 > (uint64_t)self->table_size * 3) {
        uint32_t size = self->table_size ? self->table_size * 2 : 64;
        uint32_t *table = size ? PyMem_RawMalloc((size_t)size * sizeof *table) : NULL;
        if (table == NULL) return -1;
        memset(table, 0xff, (size_t)size * sizeof *table);
        PyMem_RawFree(self->table);
        self->table = table;
        self->table_size = size;
        for (uint32_t index = 0; index < self->transition_count; index++) enter(self, index);
    }
    self->transitions[self->transition_count] = (Transition){state, token, target, from->more};
    from->more = self->transition_count;
    enter(self, self->transition_count++);
    return 0;
}

static int add_state(Automaton *self, uint32_t length) {
    if (grow((void **)&self->states, &self->state_room, self->state_count + 1, sizeof(State))) return -1;
    self->states[self->state_count++] = (State){.length = length, .link = NONE, .target = NONE, .more = NONE};
    return 0;
}

/* The state that holds the last `length` tokens of what `state` holds. */
static uint32_t holder(const Automaton *self, uint32_t state, uint32_t length) {
    while (self->states[state].link != NONE && self->states[self->states[state].link].length >= length)
        state = self->states[state].link;
    return state;
}

/* Note what followed each context that the text ends with. */
static void count_continuation(Automaton *self, uint32_t entry) {
    for (uint32_t at = self->context; at != NONE; at = self->states[at].link) {
        State *state = &self->states[at];
        uint32_t kept = state->count ? self->text[state->kept] : NONE;
        int first = state->count++ == 0;
        state->run = !first && TOKEN(kept) == TOKEN(entry) ? state->run + 1 : 1;
        if (first || entry & OWN || !(kept & OWN)) state->kept = self->text_count;
    }
}

static int append(Automaton *self, uint32_t entry) {
    uint32_t token = TOKEN(entry), new_state = self->state_count, from = self->whole;
    if (grow((void **)&self->text, &self->text_room, self->text_count + 1, sizeof *self->text)) return -1;
    count_continuation(self, entry);
    self->text[self->text_count++] = entry;
    if (add_state(self, self->text_count)) return -1;
    while (from != NONE && target_of(self, from, token) == NONE) {
        if (set_target(self, from, token, new_state)) return -1;
        from = self->states[from].link;
    }
    if (from == NONE) {
        self->states[new_state].link = 0;
    } else {
        uint32_t known = target_of(self, from, token), length = self->states[from].length + 1;
        if (self->states[known].length != length) {
            uint32_t copy = self->state_count;
            if (add_state(self, length)) return -1;
            self->states[copy] = self->states[known];
            self->states[copy].length = length;
            self->states[copy].more = NONE;
            for (uint32_t at = self->states[known].more; at != NONE; at = self->transitions[at].next)
                if (set_target(self, copy, self->transitions[at].token, self->transitions[at].target)) return -1;
            self->states[known].link = copy;
            for (; from != NONE && target_of(self, from, token) == known; from = self->states[from].link)
                if (set_target(self, from, token, copy)) return -1;
            known = copy;
        }
        self->states[new_state].link = known;
    }
    self->whole = new_state;
    self->context = holder(self, self->context, CONTEXT);
    self->context = holder(self, target_of(self, self->context, token), CONTEXT);
    return 0;
}

/* The longest end of a match that something followed, of CONTEXT tokens at most; its length, 0 where there is none. */
static uint32_t settle(const Automaton *self, uint32_t *state, uint32_t length) {
    if (length > CONTEXT) length = CONTEXT;
    *state = holder(self, *state, length);
    while (self->states[*state].count == 0 && self->states[*state].link != NONE) {
        *state = self->states[*state].link;
        length = self->states[*state].length;
    }
    return length;
}

/* Follow a trail by one token; `state` and `length` are the settled match. */
static void follow_trail(const Automaton *self, Trail *trail, uint32_t state, uint32_t length, uint32_t token) {
    int somewhere = trail->at < self->text_count;
    uint32_t history = trail->history << 1 & ((1u << HISTORY) - 1);
    if (somewhere && TOKEN(self->text[trail->at]) == token) {
        if (trail->history & 1) trail->mark = NONE, trail->misses = 0;
        trail->at++;
        trail->history = history | 1;
        return;
    }
    uint32_t kept = length ? self->states[state].kept : NONE;
    if (kept != NONE && TOKEN(self->text[kept]) == token &&
        (!somewhere || self->text[kept] & OWN || trail->misses >= PATIENCE)) {
        *trail = (Trail){kept + 1, NONE, 0, somewhere ? history | 1 : 0};
        return;
    }
    if (somewhere) {
        if (trail->mark == NONE) trail->mark = trail->at;
        trail->misses++;
        trail->history = history;
    } else if (kept != NONE) {
        *trail = (Trail){kept, kept, 1, 0};
    } else {
        *trail = NOWHERE;
        return;
    }
    for (uint32_t at = trail->mark + 1; at <= trail->mark + REACH && at < self->text_count; at++)
        if (TOKEN(self->text[at]) == token) {
            trail->mark = at;
            trail->at = at + 1;
            return;
        }
    trail->at++;
}

/* What may come next: by the settled match, by the trail, or by both as one; how many candidates. */
typedef struct {
    uint32_t token;
    int cell;
    double prior;
} Candidate;

static int candidates(const Automaton *self, const Trail *trail, uint32_t state, uint32_t length, Candidate *found) {
    int somewhere = trail->at < self->text_count, fate = somewhere ? self->fates[trail->at] : 0, count = 0;
    uint32_t other = somewhere ? self->text[trail->at] : 0;
    if (length) {
        const State *at = &self->states[state];
        uint32_t kept = self->text[at->kept];
        int cell = cell_of(length, at->count, at->run, kept);
        if (!somewhere) {
            found[0] = (Candidate){TOKEN(kept), cell, priors[cell]};
            return 1;
        }
        int relation = TOKEN(kept) == TOKEN(other) ? AGREED : OPPOSED;
        double prior = priors_beside[relation][fate][cell];
        found[count++] =
            (Candidate){TOKEN(kept), beside(relation, length, trail->history, fate, cell % KINDS), prior};
        if (relation == AGREED) return 1;
    }
    if (somewhere) {
        int kind = (other & OWN ? 1 : 0) + (length ? 2 : 0);
        double prior = priors_followed[bits(trail->history)][fate];
        found[count++] =
            (Candidate){TOKEN(other), beside(FOLLOWED, length, trail->history, fate, kind), prior};
    }
    return count;
}

/* The model has written a token: learn from it, and follow the trail; the token's fate. */
static int learn_at(const Automaton *self, Calibration *calibration, Trail *trail, uint32_t state, uint32_t length,
                    uint32_t token) {
    Candidate found[2];
    length = settle(self, &state, length);
    int count = candidates(self, trail, state, length, found);
    for (int i = 0; i < count; i++) learn(calibration, found[i].cell, found[i].token == token);
    int fate = trail->at >= self->text_count ? UNKNOWN : TOKEN(self->text[trail->at]) == token ? KEPT : CHANGED;
    follow_trail(self, trail, state, length, token);
    return fate;
}

/* The longest end of a match and of a token after it that the text knows. */
static uint32_t step(const Automaton *self, uint32_t *state, uint32_t length, uint32_t token) {
    uint32_t next;
    *state = holder(self, *state, length);
    while ((next = target_of(self, *state, token)) == NONE && self->states[*state].link != NONE) {
        *state = self->states[*state].link;
        length = self->states[*state].length;
    }
    *state = next == NONE ? 0 : next;
    return next == NONE ? 0 : length + 1;
}

static PyObject *draft_at(const Automaton *self, const Calibration *calibration, Trail trail, uint32_t state,
                          uint32_t length, Py_ssize_t most, double floor) {
    double chance = 1.0;
    PyObject *tokens = PyList_New(0), *chances = PyList_New(0);
    if (tokens == NULL || chances == NULL) goto failed;
    while (PyList_GET_SIZE(tokens) < most) {
        Candidate found[2];
        double best = 0.0;
        length = settle(self, &state, length);
        int count = candidates(self, &trail, state, length, found);
        if (count == 0) break;
        uint32_t token = found[0].token;
        for (int i = 0; i < count; i++) {
            double likely = likelihood(calibration, found[i].cell, found[i].prior);
            if (likely > best) best = likely, token = found[i].token;
        }
        chance *= best;
        if (chance < floor) break;
        PyObject *number = PyLong_FromUnsignedLong(token), *value = PyFloat_FromDouble(chance);
        int wrong = number == NULL || value == NULL || PyList_Append(tokens, number) || PyList_Append(chances, value);
        Py_XDECREF(number);
        Py_XDECREF(value);
        if (wrong) goto failed;
        follow_trail(self, &trail, state, length, token);
        length = step(self, &state, length, token);
    }
    return Py_BuildValue("(NN)", tokens, chances);
failed:
    Py_XDECREF(tokens);
    Py_XDECREF(chances);
    return NULL;
}

static int usable(const Automaton *self) {
    if (self->busy) PyErr_SetString(PyExc_RuntimeError, "another thread is extending this automaton");
    else if (self->broken) PyErr_SetString(PyExc_MemoryError, "there was too little memory for this automaton");
    return !self->busy && !self->broken;
}

/* The tokens of a sequence as a new array, to be freed. */
static uint32_t *numbers_of(PyObject *sequence, Py_ssize_t *count) {
    uint32_t *numbers = NULL;
    if (PyObject_CheckBuffer(sequence)) {
        Py_buffer view;
        if (PyObject_GetBuffer(sequence, &view, PyBUF_FORMAT | PyBUF_ND) == 0) {
            int fits = view.ndim == 1 && view.itemsize == 4 && strcmp(view.format, "i") == 0;
            if (fits && (numbers = PyMem_RawMalloc((size_t)view.len + 1)) != NULL) memcpy(numbers, view.buf, (size_t)view.len);
            *count = view.len / 4;
            PyBuffer_Release(&view);
            if (fits && numbers == NULL) PyErr_NoMemory();
            for (Py_ssize_t i = 0; numbers != NULL && i < *count; i++)
                if (numbers[i] & OWN) {
                    PyMem_RawFree(numbers);
                    PyErr_SetString(PyExc_ValueError, "tokens are whole numbers from 0 to 2**31 - 1");
                    return NULL;
                }
            if (fits) return numbers;
        }
        PyErr_Clear();
    }
    PyObject *fast = PySequence_Tuple(sequence); /* what an item does to a list cannot harm it */
    if (fast == NULL) return NULL;
    *count = PyTuple_GET_SIZE(fast);
    numbers = PyMem_RawMalloc((size_t)*count * sizeof *numbers + 1);
    if (numbers == NULL) PyErr_NoMemory();
    for (Py_ssize_t i = 0; numbers != NULL && i < *count; i++) {
        int overflow;
        long value = PyLong_AsLongAndOverflow(PyTuple_GET_ITEM(fast, i), &overflow);
        if ((value == -1 && PyErr_Occurred()) || overflow || value < 0 || value > INT32_MAX) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "tokens are whole numbers from 0 to 2**31 - 1");
            PyMem_RawFree(numbers);
            numbers = NULL;
        } else {
            numbers[i] = (uint32_t)value;
        }
    }
    Py_DECREF(fast);
    return numbers;
}

static int extend_with(Automaton *self, const uint32_t *tokens, Py_ssize_t count, int own) {
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t match = self->states[self->whole].link;
        uint32_t length = match == NONE ? 0 : self->states[match].length;
        if (grow((void **)&self->fates, &self->fates_room, self->text_count + 1, sizeof *self->fates)) return -1;
        self->fates[self->text_count] = UNKNOWN;
        if (own) {
            uint32_t from = match == NONE ? 0 : match;
            int fate = learn_at(self, self->calibration, &self->trail, from, length, tokens[i]);
            self->fates[self->text_count] = (uint8_t)fate;
        } else {
            self->trail = NOWHERE;
        }
        if (append(self, own ? tokens[i] | OWN : tokens[i])) return -1;
    }
    return 0;
}

static PyObject *Automaton_extend(Automaton *self, PyObject *arguments, PyObject *named) {
    static char *names[] = {"tokens", "own", NULL};
    PyObject *sequence;
    Py_ssize_t count;
    int wrong, own = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "O|$p", names, &sequence, &own)) return NULL;
    uint32_t *tokens = numbers_of(sequence, &count);
    if (tokens == NULL) return NULL;
    if (!usable(self)) {
        PyMem_RawFree(tokens);
        return NULL;
    }
    if (count > (Py_ssize_t)(MAX_TOKENS - self->text_count)) {
        PyMem_RawFree(tokens);
        PyErr_SetString(PyExc_OverflowError, "an automaton holds up to 2**30 tokens");
        return NULL;
    }
    if (count >= RELEASE_AT && !own) { /* the calibration may be shared */
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        wrong = extend_with(self, tokens, count, own);
        Py_END_ALLOW_THREADS
        self->busy = 0;
    } else {
        wrong = extend_with(self, tokens, count, own);
    }
    PyMem_RawFree(tokens);
    if (wrong) {
        self->broken = 1;
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *Automaton_draft(Automaton *self, PyObject *arguments) {
    Py_ssize_t most;
    double floor = 0.0;
    if (!PyArg_ParseTuple(arguments, "n|d", &most, &floor)) return NULL; /* which may let other threads run */
    if (!usable(self)) return NULL;
    uint32_t match = self->states[self->whole].link;
    uint32_t length = match == NONE ? 0 : self->states[match].length;
    return draft_at(self, self->calibration, self->trail, match == NONE ? 0 : match, length, most, floor);
}

static PyObject *Automaton_continuation(Automaton *self, PyObject *sequence) {
    Py_ssize_t count;
    uint32_t state = 0;
    uint32_t *tokens = numbers_of(sequence, &count);
    if (tokens == NULL) return NULL;
    if (!usable(self)) {
        PyMem_RawFree(tokens);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count && state != NONE; i++) state = target_of(self, state, tokens[i]);
    PyMem_RawFree(tokens);
    if (count > CONTEXT) {
        PyErr_Format(PyExc_ValueError, "contexts are of up to %d tokens", CONTEXT);
        return NULL;
    }
    if (state == NONE || self->states[state].count == 0) Py_RETURN_NONE;
    const State *at = &self->states[state];
    return Py_BuildValue("(III)", TOKEN(self->text[at->kept]), at->count, at->run);
}

static PyObject *Automaton_dump(Automaton *self, PyObject *ignored) {
    if (!usable(self)) return NULL;
    return PyBytes_FromStringAndSize((const char *)self->text, (Py_ssize_t)self->text_count * 4);
}

static PyObject *Automaton_match_length(Automaton *self, void *ignored) {
    if (!usable(self)) return NULL;
    uint32_t match = self->states[self->whole].link;
    return PyLong_FromUnsignedLong(match == NONE ? 0 : self->states[match].length);
}

static PyObject *Automaton_memory(Automaton *self, void *ignored) {
    return PyLong_FromSize_t(sizeof *self + (size_t)self->state_room * sizeof(State) +
                             (size_t)self->text_room * sizeof(uint32_t) + self->fates_room +
                             (size_t)self->transition_room * sizeof(Transition) +
                             (size_t)self->table_size * sizeof(uint32_t));
}

static Py_ssize_t Automaton_length(Automaton *self) { return self->text_count; }

static Calibration *calibration_from(PyObject *given) {
    if (given == NULL || given == Py_None) return (Calibration *)PyObject_CallNoArgs((PyObject *)&CalibrationType);
    if (!PyObject_TypeCheck(given, &CalibrationType)) {
        PyErr_SetString(PyExc_TypeError, "calibration must be a Calibration");
        return NULL;
    }
    return (Calibration *)Py_NewRef(given);
}

static PyObject *Automaton_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    static char *names[] = {"calibration", NULL};
    PyObject *given = NULL;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "|O", names, &given)) return NULL;
    Automaton *self = (Automaton *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->calibration = calibration_from(given);
    self->trail = NOWHERE;
    if (self->calibration == NULL || add_state(self, 0)) {
        if (!PyErr_Occurred()) PyErr_NoMemory();
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void Automaton_dealloc(Automaton *self) {
    PyMem_RawFree(self->states);
    PyMem_RawFree(self->text);
    PyMem_RawFree(self->fates);
    PyMem_RawFree(self->transitions);
    PyMem_RawFree(self->table);
    Py_XDECREF(self->calibration);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Automaton_methods[] = {
    {"extend", (PyCFunction)Automaton_extend, METH_VARARGS | METH_KEYWORDS, NULL},
    {"draft", (PyCFunction)Automaton_draft, METH_VARARGS, NULL},
    {"continuation", (PyCFunction)Automaton_continuation, METH_O, NULL},
    {"dump", (PyCFunction)Automaton_dump, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Automaton_properties[] = {
    {"match_length", (getter)Automaton_match_length, NULL, NULL, NULL},
    {"memory", (getter)Automaton_memory, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PySequenceMethods Automaton_sequence = {.sq_length = (lenfunc)Automaton_length};

static PyTypeObject AutomatonType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "agentinfer.sam._compiled.SuffixAutomaton",
    .tp_basicsize = sizeof(Automaton),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = Automaton_new,
    .tp_dealloc = (destructor)Automaton_dealloc,
    .tp_methods = Automaton_methods,
    .tp_getset = Automaton_properties,
    .tp_as_sequence = &Automaton_sequence,
};

/* Where another text stands in an automaton */

typedef struct {
    PyObject_HEAD
    Automaton *automaton;
    Calibration *calibration;
    uint32_t state, length;
    Trail trail;
} Cursor;

static void follow(Cursor *self, uint32_t token, int own) {
    if (own) learn_at(self->automaton, self->calibration, &self->trail, self->state, self->length, token);
    else self->trail = NOWHERE;
    self->length = step(self->automaton, &self->state, self->length, token);
}

static PyObject *Cursor_follow(Cursor *self, PyObject *arguments, PyObject *named) {
    static char *names[] = {"tokens", "own", NULL};
    PyObject *sequence;
    Py_ssize_t count;
    int own = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "O|$p", names, &sequence, &own)) return NULL;
    uint32_t *tokens = numbers_of(sequence, &count);
    if (tokens == NULL) return NULL;
    if (!usable(self->automaton)) {
        PyMem_RawFree(tokens);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) follow(self, tokens[i], own);
    PyMem_RawFree(tokens);
    Py_RETURN_NONE;
}

static PyObject *Cursor_draft(Cursor *self, PyObject *arguments) {
    Py_ssize_t most;
    double floor = 0.0;
    if (!PyArg_ParseTuple(arguments, "n|d", &most, &floor)) return NULL; /* which may let other threads run */
    if (!usable(self->automaton)) return NULL;
    return draft_at(self->automaton, self->calibration, self->trail, self->state, self->length, most, floor);
}

static PyObject *Cursor_match_length(Cursor *self, void *ignored) { return PyLong_FromUnsignedLong(self->length); }

static PyObject *Cursor_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    static char *names[] = {"automaton", "calibration", NULL};
    PyObject *automaton, *given = NULL;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "O!|O", names, &AutomatonType, &automaton, &given)) return NULL;
    Cursor *self = (Cursor *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->automaton = (Automaton *)Py_NewRef(automaton);
    self->trail = NOWHERE;
    if ((self->calibration = calibration_from(given)) == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void Cursor_dealloc(Cursor *self) {
    Py_XDECREF(self->automaton);
    Py_XDECREF(self->calibration);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Cursor_methods[] = {
    {"follow", (PyCFunction)Cursor_follow, METH_VARARGS | METH_KEYWORDS, NULL},
    {"draft", (PyCFunction)Cursor_draft, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Cursor_properties[] = {
    {"match_length", (getter)Cursor_match_length, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject CursorType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "agentinfer.sam._compiled.Cursor",
    .tp_basicsize = sizeof(Cursor),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = Cursor_new,
    .tp_dealloc = (destructor)Cursor_dealloc,
    .tp_methods = Cursor_methods,
    .tp_getset = Cursor_properties,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_size = -1};

PyMODINIT_FUNC PyInit__compiled(void) {
    set_priors();
    PyObject *made = PyModule_Create(&module);
    if (made == NULL) return NULL;
    if (PyModule_AddType(made, &CalibrationType) || PyModule_AddType(made, &AutomatonType) ||
        PyModule_AddType(made, &CursorType)) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
