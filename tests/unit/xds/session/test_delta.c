/*
 * An incremental stream is played as a table of steps. Names of a request: "a" subscribes, "-a" unsubscribes, "=a" says
 * that the client holds a in the form that is published now, "~a" in another. `expect` is every response that must
 * follow: "CDS#1{a=1,-b}" = type, nonce, what changed, what went; "" = silence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "tests/unit/xds/session/kit.h"

enum { LAST = 16 };

enum input { END, ASK, ACK, NACK, STALE, PUBLISH };

struct step {
    enum input input;
    const char *text;   /* PUBLISH: "CDS a=1 b=2; EDS a=1"; others: the type's name */
    const char *names;  /* space separated; NULL: none */
    const char *expect; /* NULL is "" */
};

struct play {
    struct session *session;
    struct resource_set *set;
    char nonce[XDS_TYPES][24];
    const char *reason; /* of refusals */
};

static void publish(struct play *p, const char *text)
{
    struct resource_set *next = set_of(text, p->set);
    resource_set_unref(p->set);
    p->set = next;
    session_on_set(p->session, next);
}

struct lists {
    struct slice subscribe[LAST], unsubscribe[LAST];
    struct session_held held[LAST];
    char versions[LAST][RESOURCE_VERSION_BYTES];
    size_t n_subscribe, n_unsubscribe, n_held;
};

static void hold(const struct play *p, enum xds_type type, struct slice name, bool same, struct lists *l)
{
    char *version = l->versions[l->n_held];
    const struct resource *r =
        p->set == NULL ? NULL : resource_list_find(resource_set_list(p->set, type), name);
    strcpy(version, "of another server");
    if (same) {
        assert_non_null(r);
        resource_version(r, version);
    }
    l->held[l->n_held++] = (struct session_held){name, slice_of(version)};
}

static void read_names(const struct play *p, enum xds_type type, const char *names, struct lists *l)
{
    struct slice rest = names == NULL ? SLICE_NONE : slice_of(names);
    while (rest.n > 0) {
        struct slice name = slice_cut(&rest, ' ');
        if (name.p[0] == '-') {
            l->unsubscribe[l->n_unsubscribe++] = slice_from(name, 1);
        } else if (name.p[0] == '=' || name.p[0] == '~') {
            hold(p, type, slice_from(name, 1), name.p[0] == '=', l);
        } else {
            l->subscribe[l->n_subscribe++] = name;
        }
    }
}

static void request(struct play *p, const struct step *step)
{
    enum xds_type t = type_of(slice_of(step->text));
    struct lists l = {.n_held = 0};
    read_names(p, t, step->names, &l);
    struct session_delta_request r = {
        .type_url = slice_of(xds_type_url(t)),
        .nonce = step->input == ASK     ? SLICE_NONE
                 : step->input == STALE ? SLICE("of-another-time")
                                        : slice_of(p->nonce[t]),
        .subscribe = l.subscribe,
        .subscribe_count = l.n_subscribe,
        .unsubscribe = l.unsubscribe,
        .unsubscribe_count = l.n_unsubscribe,
        .held = l.held,
        .held_count = l.n_held,
        .refused = step->input == NACK,
        .reason = slice_of(p->reason),
    };
    assert_true(session_on_delta_request(p->session, &r, NULL));
}

static void describe(struct strbuf *out, const struct session_response *r)
{
    const char *comma = "";
    strbuf_printf(out, "%s%s#%s{", out->n > 0 ? " " : "", xds_type_name(r->type), r->nonce);
    for (size_t i = 0; i < resource_list_count(r->resources); i++, comma = ",") {
        struct resource *item = resource_list_at(r->resources, i);
        strbuf_printf(out, "%s%.*s=%.*s", comma, SLICE_ARG(resource_get_name(item)), SLICE_ARG(resource_bytes(item)));
    }
    for (size_t i = 0; i < resource_list_count(r->removed); i++, comma = ",") {
        strbuf_printf(out, "%s-%.*s", comma, SLICE_ARG(resource_get_name(resource_list_at(r->removed, i))));
    }
    strbuf_add_char(out, '}');
}

static void run_steps(struct play *p, const struct step *steps)
{
    for (size_t i = 0; steps[i].input != END; i++) {
        if (steps[i].input == PUBLISH) {
            publish(p, steps[i].text);
        } else {
            request(p, &steps[i]);
        }
        struct strbuf got;
        strbuf_init(&got);
        struct session_response r;
        while (session_next(p->session, &r)) {
            describe(&got, &r);
            strcpy(p->nonce[r.type], r.nonce);
        }
        const char *expect = steps[i].expect == NULL ? "" : steps[i].expect;
        if (strcmp(strbuf_cstr(&got), expect) != 0) {
            fail_msg("step %zu: expected \"%s\", got \"%s\"", i, expect, strbuf_cstr(&got));
        }
        strbuf_fini(&got);
    }
}

static struct play begin(void)
{
    return (struct play){.session = session_create(SESSION_DELTA, true), .reason = "bad\nresource"};
}

static void finish(struct play *p)
{
    session_destroy(&p->session);
    resource_set_unref(p->set);
}

static void play(const struct step *steps)
{
    struct play p = begin();
    run_steps(&p, steps);
    finish(&p);
}

static void only_what_changed_is_sent(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=2 c=3", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1,b=2,c=3}"},
        {ACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=1 b=2 c=3", NULL, ""},
        {PUBLISH, "CDS a=1 b=9 d=4", NULL, "CDS#2{b=9,d=4,-c}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void nothing_is_said_before_the_first_publish(void **state)
{
    (void)state;
    play((const struct step[]){
        {ASK, "CDS", NULL, ""},
        {ASK, "Api", "* ~x", ""},
        {ASK, "RDS", "r", ""},
        {PUBLISH, "CDS a=1; Api y=1", NULL, "CDS#1{a=1} RDS#2{-r} Api#3{y=1,-x}"},
        {END, NULL, NULL, NULL},
    });
}

static void a_wildcard_is_answered_even_with_nothing(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "RDS r=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{}"},
        {ASK, "LDS", "*", "LDS#2{}"},
        {ASK, "RDS", NULL, ""},
        {ASK, "RDS", "*", ""},
        {ASK, "Api", NULL, ""},
        {ASK, "Api", "*", "Api#3{}"},
        {END, NULL, NULL, NULL},
    });
}

static void names_are_answered_once_also_by_their_absence(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "RDS r=1 s=1", NULL, NULL},
        {ASK, "RDS", "q r", "RDS#1{r=1,-q}"},
        {ACK, "RDS", NULL, ""},
        {PUBLISH, "RDS q=1 r=1 s=2", NULL, "RDS#2{q=1}"},
        {ACK, "RDS", "s", "RDS#3{s=2}"},
        {ACK, "RDS", "-r", ""},
        {PUBLISH, "RDS q=1 r=2", NULL, "RDS#4{-s}"},
        {ACK, "RDS", "-unknown", ""},
        {END, NULL, NULL, NULL},
    });
}

static void who_asks_again_gets_it_again(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "RDS r=1; CDS a=1 b=1", NULL, NULL},
        {ASK, "RDS", "r", "RDS#1{r=1}"},
        {ACK, "RDS", NULL, ""},
        {ASK, "RDS", "r", "RDS#2{r=1}"},
        {ACK, "RDS", NULL, ""},
        {ASK, "CDS", NULL, "CDS#3{a=1,b=1}"},
        {ACK, "CDS", "b", "CDS#4{b=1}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void a_name_given_back_under_a_wildcard_is_sent_again(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=1", NULL, NULL},
        {ASK, "CDS", "* a", "CDS#1{a=1,b=1}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "CDS", "-a", "CDS#2{a=1}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "CDS", "-b", ""},
        {END, NULL, NULL, NULL},
    });
}

static void without_the_wildcard_only_names_count(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1,b=1}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "CDS", "a", "CDS#2{a=1}"},
        {ACK, "CDS", "-*", ""},
        {PUBLISH, "CDS a=2 b=2", NULL, "CDS#3{a=2}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void who_comes_back_gets_the_difference(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=2 d=4; RDS r=1 s=1; EDS a=1", NULL, NULL},
        {ASK, "CDS", "=a ~b ~c", "CDS#1{b=2,d=4,-c}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "RDS", "r s =r ~s", "RDS#2{s=1}"},
        {ACK, "RDS", NULL, ""},
        {ASK, "EDS", "a =a", ""},
        {PUBLISH, "CDS a=1 b=2 d=4; RDS r=1 s=1; EDS a=2", NULL, "EDS#3{a=2}"},
        {END, NULL, NULL, NULL},
    });
}

static void who_holds_everything_gets_nothing_but_an_empty_answer(void **state)
{
    (void)state;
    struct play p = begin();
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=1 b=2; Api x=1; Subscription s=1", NULL, NULL},
                      {ASK, "CDS", "=a =b", "CDS#1{}"},
                      {ACK, "CDS", NULL, ""},
                      {ASK, "Api", "* =x", "Api#2{}"},
                      {ACK, "Api", NULL, ""},
                      {ASK, "Subscription", "* =s", "Subscription#3{}"},
                      {ACK, "Subscription", NULL, ""},
                      {END, NULL, NULL, NULL},
                  });
    struct session_status s = session_status(p.session, XDS_SUBSCRIPTION);
    assert_int_equal(s.state, SESSION_SYNCED);
    assert_int_equal(s.resources, 1);
    assert_int_equal(s.resources_sent, 0);
    finish(&p);
}

/* The first request of the type says what is held, wherever it comes in time. */
static void versions_count_in_the_first_request_only(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "Api x=1 y=1", NULL, NULL},
        {ASK, "Api", "* =x", "Api#1{y=1}"},
        {ACK, "Api", NULL, ""},
        {ASK, "Api", "~y =x", ""},
        {END, NULL, NULL, NULL},
    });
}

static void a_stale_nonce_spoils_the_verdict_but_not_the_names(void **state)
{
    (void)state;
    struct play p = begin();
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "RDS a=1 b=1", NULL, NULL},
                      {ASK, "RDS", "a", "RDS#1{a=1}"},
                      {STALE, "RDS", "b", ""},
                      {END, NULL, NULL, NULL},
                  });
    assert_int_equal(session_status(p.session, XDS_ROUTE).state, SESSION_STALE);
    run_steps(&p, (const struct step[]){{ACK, "RDS", NULL, "RDS#2{b=1}"}, {ACK, "RDS", NULL, ""}, {END, NULL, NULL, NULL}});
    assert_int_equal(session_status(p.session, XDS_ROUTE).state, SESSION_SYNCED);
    finish(&p);
}

static void what_was_refused_is_not_repeated_but_any_change_is_sent(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1,b=1}"},
        {ACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=2 b=1", NULL, "CDS#2{a=2}"},
        {NACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=2 b=3", NULL, "CDS#3{b=3}"},
        {ACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=1 b=3", NULL, "CDS#4{a=1}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void a_refusal_is_shown_until_that_resource_changed(void **state)
{
    (void)state;
    struct play p = begin();
    p.reason = "a: name: too long\nand more";
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "Api a=1 b=1", NULL, NULL},
                      {ASK, "Api", "*", "Api#1{a=1,b=1}"},
                      {NACK, "Api", NULL, ""},
                      {PUBLISH, "Api a=1 b=2", NULL, "Api#2{b=2}"},
                      {ACK, "Api", NULL, ""},
                      {END, NULL, NULL, NULL},
                  });
    struct session_status s = session_status(p.session, XDS_API);
    assert_int_equal(s.state, SESSION_REJECTED);
    assert_string_equal(s.reason, "a: name: too long and more");
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "Api a=2 b=2", NULL, "Api#3{a=2}"}, {ACK, "Api", NULL, ""}, {END, NULL, NULL, NULL}});
    assert_int_equal(session_status(p.session, XDS_API).state, SESSION_SYNCED);
    finish(&p);
}

static void endpoints_follow_the_clusters_that_name_them(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=1 c=eds-of-c; EDS a=1 b=1 eds-of-c=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1,b=1,c=eds-of-c}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "EDS", "b eds-of-c", "EDS#2{b=1,eds-of-c=1}"},
        {ACK, "EDS", NULL, ""},
        {PUBLISH, "CDS a=2 b=1 c=eds-of-c; EDS a=1 b=1 eds-of-c=1", NULL, "CDS#3{a=2}"},
        {ACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=2 b=1 c=now-eds-of-c; EDS a=1 b=1 eds-of-c=1", NULL, "CDS#4{c=now-eds-of-c} EDS#5{eds-of-c=1}"},
        {END, NULL, NULL, NULL},
    });
}

static void only_one_response_a_type_is_outstanding_and_the_newest_wins(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1,b=1}"},
        {PUBLISH, "CDS a=2 b=1", NULL, ""},
        {PUBLISH, "CDS a=1 b=3", NULL, ""},
        {ACK, "CDS", NULL, "CDS#2{b=3}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void later_types_wait_for_earlier_ones_but_keys_do_not(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1; Api x=1; Subscription s=1 t=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1}"},
        {ASK, "Api", "*", "Api#2{x=1}"},
        {ACK, "Api", NULL, ""},
        {ASK, "Subscription", "*", "Subscription#3{s=1,t=1}"},
        {ACK, "Subscription", NULL, ""},
        {PUBLISH, "CDS a=1 b=1; Api x=2; Subscription s=2 t=1", NULL, "Subscription#4{s=2}"},
        {ACK, "CDS", NULL, "CDS#5{b=1} Api#6{x=2}"},
        {END, NULL, NULL, NULL},
    });
}

static void a_cluster_goes_only_after_its_users_accepted_that(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS old=1; Backend b=old; Api x=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{old=1}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "Backend", "*", "Backend#2{b=old}"},
        {ACK, "Backend", NULL, ""},
        {ASK, "Api", "*", "Api#3{x=1}"},
        {ACK, "Api", NULL, ""},
        {PUBLISH, "CDS new=1; Backend b=new; Api x=1", NULL, "CDS#4{new=1} Backend#5{b=new}"},
        {ACK, "CDS", NULL, ""},
        {ACK, "Backend", NULL, "CDS#6{-old}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

/* Also when they were held from an earlier stream: their names are all this server knows of them. */
static void what_a_client_brought_along_is_withdrawn_after_its_users(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS new=1; RDS r=new", NULL, NULL},
        {ASK, "RDS", "r ~r", "RDS#1{r=new}"},
        {ASK, "CDS", "~old", "CDS#2{new=1}"},
        {ACK, "CDS", NULL, ""},
        {ACK, "RDS", NULL, "CDS#3{-old}"},
        {END, NULL, NULL, NULL},
    });
}

static void a_type_url_is_needed(void **state)
{
    (void)state;
    struct play p = begin();
    struct err err;
    assert_false(session_on_delta_request(p.session, &(struct session_delta_request){.held_count = 0}, &err));
    assert_true(session_on_delta_request(p.session, &(struct session_delta_request){.type_url = SLICE("x")}, &err));
    finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_changed_is_sent),
        cmocka_unit_test(nothing_is_said_before_the_first_publish),
        cmocka_unit_test(a_wildcard_is_answered_even_with_nothing),
        cmocka_unit_test(names_are_answered_once_also_by_their_absence),
        cmocka_unit_test(who_asks_again_gets_it_again),
        cmocka_unit_test(a_name_given_back_under_a_wildcard_is_sent_again),
        cmocka_unit_test(without_the_wildcard_only_names_count),
        cmocka_unit_test(who_comes_back_gets_the_difference),
        cmocka_unit_test(who_holds_everything_gets_nothing_but_an_empty_answer),
        cmocka_unit_test(versions_count_in_the_first_request_only),
        cmocka_unit_test(a_stale_nonce_spoils_the_verdict_but_not_the_names),
        cmocka_unit_test(what_was_refused_is_not_repeated_but_any_change_is_sent),
        cmocka_unit_test(a_refusal_is_shown_until_that_resource_changed),
        cmocka_unit_test(endpoints_follow_the_clusters_that_name_them),
        cmocka_unit_test(only_one_response_a_type_is_outstanding_and_the_newest_wins),
        cmocka_unit_test(later_types_wait_for_earlier_ones_but_keys_do_not),
        cmocka_unit_test(a_cluster_goes_only_after_its_users_accepted_that),
        cmocka_unit_test(what_a_client_brought_along_is_withdrawn_after_its_users),
        cmocka_unit_test(a_type_url_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
