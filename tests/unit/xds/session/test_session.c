/*
 * A stream is played as a table of steps. Each step is one input; `expect` is every response that must follow, in
 * order: "CDS#1{a=1,b=2}" = type, nonce, contents; "" = silence. $v is the version of the type's last response, $old
 * the one accepted before.
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

#define NO_NONCE ""
enum { LAST = 16 };

enum input { END, ASK, ACK, NACK, STALE, ECHO_OLD, PUBLISH };

struct step {
    enum input input;
    const char *text;   /* PUBLISH: "CDS a=1 b=2; EDS a=1"; others: the type's name */
    const char *names;  /* space separated, as the request lists them; NULL: an empty list */
    const char *expect; /* NULL is "" */
};

struct play {
    struct session *session;
    struct resource_set *set;
    char nonce[XDS_TYPES][24], version[XDS_TYPES][40];
};

static void publish(struct play *p, const char *text)
{
    struct resource_set *next = set_of(text, p->set);
    resource_set_unref(p->set);
    p->set = next;
    session_on_set(p->session, next);
}

static void request(struct play *p, const struct step *step)
{
    enum xds_type t = type_of(slice_of(step->text));
    struct slice names[LAST];
    size_t n = 0;
    struct slice rest = step->names == NULL ? SLICE_NONE : slice_of(step->names);
    while (rest.n > 0) {
        names[n++] = slice_cut(&rest, ' ');
    }
    struct session_request r = {.type_url = slice_of(xds_type_url(t)), .names = names, .name_count = n};
    if (step->input == ACK || step->input == NACK || step->input == ECHO_OLD) {
        r.nonce = slice_of(p->nonce[t]);
    } else if (step->input == STALE) {
        r.nonce = SLICE("of-another-time");
    }
    r.version = step->input == ACK ? slice_of(p->version[t]) : SLICE_NONE;
    r.refused = step->input == NACK;
    r.reason = SLICE("bad\nresource");
    assert_true(session_on_request(p->session, &r, NULL));
}

static void describe(struct strbuf *out, const struct session_response *r)
{
    if (out->n > 0) {
        strbuf_add_char(out, ' ');
    }
    strbuf_printf(out, "%s#%s{", xds_type_name(r->type), r->nonce);
    for (size_t i = 0; i < resource_list_count(r->resources); i++) {
        struct resource *item = resource_list_at(r->resources, i);
        strbuf_printf(out, "%s%.*s=%.*s", i == 0 ? "" : ",", SLICE_ARG(resource_get_name(item)),
                      SLICE_ARG(resource_bytes(item)));
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
            strcpy(p->version[r.type], r.version);
        }
        const char *expect = steps[i].expect == NULL ? "" : steps[i].expect;
        if (strcmp(strbuf_cstr(&got), expect) != 0) {
            fail_msg("step %zu: expected \"%s\", got \"%s\"", i, expect, strbuf_cstr(&got));
        }
        strbuf_fini(&got);
    }
}

static struct play begin(bool egret_types)
{
    struct play p = {.session = session_create(SESSION_SOTW, egret_types)};
    return p;
}

static void finish(struct play *p)
{
    session_destroy(&p->session);
    resource_set_unref(p->set);
}

static void play(const struct step *steps)
{
    struct play p = begin(true);
    run_steps(&p, steps);
    finish(&p);
}

static void an_accepted_response_is_not_answered(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=2", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1,b=2}"},
        {ACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=1 b=2", NULL, ""},
        {PUBLISH, "CDS a=1 b=3", NULL, "CDS#2{a=1,b=3}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void nothing_is_said_before_the_first_publish(void **state)
{
    (void)state;
    play((const struct step[]){
        {ASK, "CDS", NULL, ""},
        {ASK, "Api", "*", ""},
        {PUBLISH, "CDS a=1", NULL, "CDS#1{a=1} Api#2{}"},
        {END, NULL, NULL, NULL},
    });
}

static void an_empty_list_is_everything_for_lds_and_cds_only(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1; LDS l=1; RDS r=1; EDS a=1; SDS s=1; Api x=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1}"},
        {ASK, "LDS", NULL, "LDS#2{l=1}"},
        {ASK, "RDS", NULL, ""},
        {ASK, "EDS", NULL, ""},
        {ASK, "SDS", NULL, ""},
        {ASK, "Api", NULL, ""},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void a_star_is_everything_for_full_sets_and_a_name_elsewhere(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1; RDS r=1; Api x=1 y=2", NULL, NULL},
        {ASK, "CDS", "*", "CDS#1{a=1}"},
        {ASK, "RDS", "*", ""},
        {ASK, "Api", "*", "Api#2{x=1,y=2}"},
        {ACK, "Api", "*", ""},
        {PUBLISH, "CDS a=1; RDS r=1; Api y=2", NULL, "Api#3{y=2}"},
        {END, NULL, NULL, NULL},
    });
}

static void after_a_name_an_empty_list_means_nothing(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1 b=2", NULL, NULL},
        {ASK, "CDS", "a", "CDS#1{a=1}"},
        {ACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=9 b=9", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void names_get_what_exists_and_later_what_is_created(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "RDS r=1", NULL, NULL},
        {ASK, "RDS", "q", ""},
        {PUBLISH, "RDS q=1 r=1", NULL, "RDS#1{q=1}"},
        {ACK, "RDS", "q", ""},
        {ACK, "RDS", "q r", "RDS#2{q=1,r=1}"},
        {ACK, "RDS", "q r", ""},
        {ACK, "RDS", "r", ""},
        {PUBLISH, "RDS q=2 r=1", NULL, ""},
        {ACK, "RDS", "r q", "RDS#3{q=2,r=1}"},
        {ACK, "RDS", "r q", ""},
        {PUBLISH, "RDS r=1", NULL, ""},
        {PUBLISH, "RDS q=3 r=1", NULL, "RDS#4{q=3,r=1}"},
        {ACK, "RDS", NULL, ""},
        {PUBLISH, "RDS q=4 r=2", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void named_listeners_and_clusters_are_told_of_a_deletion(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS b=1", NULL, NULL},
        {ASK, "CDS", "a", ""},
        {PUBLISH, "CDS a=1 b=1", NULL, "CDS#1{a=1}"},
        {ACK, "CDS", "a", ""},
        {PUBLISH, "CDS a=1 b=2", NULL, ""},
        {PUBLISH, "CDS b=2", NULL, "CDS#2{}"},
        {END, NULL, NULL, NULL},
    });
}

static void a_stale_request_is_ignored(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "RDS a=1 b=1", NULL, NULL},
        {ASK, "RDS", "a", "RDS#1{a=1}"},
        {STALE, "RDS", "a b", ""},
        {PUBLISH, "RDS a=2 b=1", NULL, ""},
        {ACK, "RDS", "a", "RDS#2{a=2}"},
        {END, NULL, NULL, NULL},
    });
}

static void the_first_request_counts_whatever_nonce_it_brings(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "RDS a=1", NULL, NULL},
        {STALE, "RDS", "a", "RDS#1{a=1}"},
        {END, NULL, NULL, NULL},
    });
}

static void what_was_refused_is_not_repeated_but_any_change_is_sent(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1}"},
        {ACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=2", NULL, "CDS#2{a=2}"},
        {NACK, "CDS", NULL, ""},
        {PUBLISH, "CDS a=2", NULL, ""},
        {ECHO_OLD, "CDS", NULL, ""},
        {PUBLISH, "CDS a=1", NULL, "CDS#3{a=1}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void endpoints_follow_clusters_even_if_unchanged(void **state)
{
    (void)state;
    struct play p = begin(true);
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=1; EDS a=1", NULL, NULL},
                      {ASK, "CDS", NULL, "CDS#1{a=1}"},
                      {ACK, "CDS", NULL, ""},
                      {ASK, "EDS", "a", "EDS#2{a=1}"},
                      {ACK, "EDS", "a", ""},
                      {END, NULL, NULL, NULL},
                  });
    char before[40];
    strcpy(before, p.version[XDS_ENDPOINT]);
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=2; EDS a=1", NULL, "CDS#3{a=2} EDS#4{a=1}"},
                      {ACK, "CDS", NULL, ""},
                      {ACK, "EDS", "a", ""},
                      {PUBLISH, "CDS a=2; EDS a=2", NULL, "EDS#5{a=2}"},
                      {END, NULL, NULL, NULL},
                  });
    assert_string_not_equal(before, p.version[XDS_ENDPOINT]);
    finish(&p);
}

static void a_repeated_endpoint_response_keeps_its_version(void **state)
{
    (void)state;
    struct play p = begin(true);
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=1; EDS a=1", NULL, NULL},
                      {ASK, "CDS", NULL, "CDS#1{a=1}"},
                      {ACK, "CDS", NULL, ""},
                      {ASK, "EDS", "a", "EDS#2{a=1}"},
                      {ACK, "EDS", "a", ""},
                      {END, NULL, NULL, NULL},
                  });
    char before[40];
    strcpy(before, p.version[XDS_ENDPOINT]);
    run_steps(&p, (const struct step[]){{PUBLISH, "CDS a=2; EDS a=1", NULL, "CDS#3{a=2} EDS#4{a=1}"},
                                        {END, NULL, NULL, NULL}});
    assert_string_equal(before, p.version[XDS_ENDPOINT]);
    finish(&p);
}

static void only_one_response_a_type_is_outstanding_and_the_newest_wins(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1}"},
        {PUBLISH, "CDS a=2", NULL, ""},
        {PUBLISH, "CDS a=3", NULL, ""},
        {ACK, "CDS", NULL, "CDS#2{a=3}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void later_types_wait_for_earlier_ones_but_keys_do_not(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS a=1; Api x=1; Subscription s=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{a=1}"},
        {ASK, "Api", "*", "Api#2{x=1}"},
        {ACK, "Api", "*", ""},
        {ASK, "Subscription", "*", "Subscription#3{s=1}"},
        {ACK, "Subscription", "*", ""},
        {PUBLISH, "CDS a=1 b=1; Api x=2; Subscription s=2", NULL, "Subscription#4{s=2}"},
        {ACK, "CDS", NULL, "CDS#5{a=1,b=1} Api#6{x=2}"},
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
        {ACK, "Backend", "*", ""},
        {ASK, "Api", "*", "Api#3{x=1}"},
        {ACK, "Api", "*", ""},
        {PUBLISH, "CDS new=1; Backend b=new; Api x=1", NULL, "CDS#4{new=1,old=1} Backend#5{b=new}"},
        {ACK, "CDS", NULL, ""},
        {ACK, "Backend", "*", "CDS#6{new=1}"},
        {ACK, "CDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void a_cluster_stays_while_its_users_refuse_the_new_state(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS old=1; RDS r=old", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{old=1}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "RDS", "r", "RDS#2{r=old}"},
        {ACK, "RDS", "r", ""},
        {PUBLISH, "CDS new=1; RDS r=new", NULL, "CDS#3{new=1,old=1} RDS#4{r=new}"},
        {ACK, "CDS", NULL, ""},
        {NACK, "RDS", "r", ""},
        {PUBLISH, "CDS new=1; RDS r=better", NULL, "RDS#5{r=better}"},
        {ACK, "RDS", "r", "CDS#6{new=1}"},
        {END, NULL, NULL, NULL},
    });
}

static void a_tunnel_goes_after_its_cluster_and_an_address_at_once(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "CDS c=1; LDS http=1 tunnel/c=1; Backend b=1; Api x=1", NULL, NULL},
        {ASK, "CDS", NULL, "CDS#1{c=1}"},
        {ACK, "CDS", NULL, ""},
        {ASK, "LDS", NULL, "LDS#2{http=1,tunnel/c=1}"},
        {ACK, "LDS", NULL, ""},
        {ASK, "Backend", "*", "Backend#3{b=1}"},
        {ACK, "Backend", "*", ""},
        {ASK, "Api", "*", "Api#4{x=1}"},
        {ACK, "Api", "*", ""},
        {PUBLISH, "CDS; LDS web=1", NULL, "LDS#5{tunnel/c=1,web=1} Api#6{}"},
        {ACK, "LDS", NULL, ""},
        {ACK, "Api", "*", "Backend#7{}"},
        {ACK, "Backend", "*", "CDS#8{}"},
        {ACK, "CDS", NULL, "LDS#9{web=1}"},
        {ACK, "LDS", NULL, ""},
        {END, NULL, NULL, NULL},
    });
}

static void a_second_request_without_nonce_is_answered_once(void **state)
{
    (void)state;
    play((const struct step[]){
        {PUBLISH, "RDS a=1 b=1", NULL, NULL},
        {ASK, "RDS", "a", "RDS#1{a=1}"},
        {ASK, "RDS", "a b", ""},
        {ACK, "RDS", "a b", "RDS#2{a=1,b=1}"},
        {ACK, "RDS", "a b", ""},
        {ASK, "RDS", "a b", "RDS#3{a=1,b=1}"},
        {END, NULL, NULL, NULL},
    });
}

static void egret_types_are_silent_for_a_node_that_did_not_announce_them(void **state)
{
    (void)state;
    struct play p = begin(false);
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=1; Api x=1", NULL, NULL},
                      {ASK, "Api", "*", ""},
                      {ASK, "CDS", NULL, "CDS#1{a=1}"},
                      {END, NULL, NULL, NULL},
                  });
    assert_int_equal(session_status(p.session, XDS_API).state, SESSION_NOT_SENT);
    finish(&p);
}

static void status_tells_where_each_type_stands(void **state)
{
    (void)state;
    struct play p = begin(true);
    assert_int_equal(session_status(p.session, XDS_CLUSTER).state, SESSION_NOT_SENT);
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=1", NULL, NULL}, {ASK, "CDS", NULL, "CDS#1{a=1}"}, {END, NULL, NULL, NULL}});
    assert_int_equal(session_status(p.session, XDS_CLUSTER).state, SESSION_STALE);
    run_steps(&p, (const struct step[]){{ACK, "CDS", NULL, ""}, {END, NULL, NULL, NULL}});
    assert_int_equal(session_status(p.session, XDS_CLUSTER).state, SESSION_SYNCED);
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=2", NULL, "CDS#2{a=2}"}, {NACK, "CDS", NULL, ""}, {END, NULL, NULL, NULL}});
    struct session_status s = session_status(p.session, XDS_CLUSTER);
    assert_int_equal(s.state, SESSION_REJECTED);
    assert_string_equal(s.reason, "bad resource");
    run_steps(&p, (const struct step[]){
                      {PUBLISH, "CDS a=1", NULL, "CDS#3{a=1}"}, {ACK, "CDS", NULL, ""}, {END, NULL, NULL, NULL}});
    assert_int_equal(session_status(p.session, XDS_CLUSTER).state, SESSION_SYNCED);
    assert_string_equal(session_state_name(SESSION_NOT_SENT), "NOT SENT");
    finish(&p);
}

static void a_type_url_is_needed_and_unknown_ones_are_passed_over(void **state)
{
    (void)state;
    struct session *s = session_create(SESSION_SOTW, true);
    struct err err;
    struct session_request r = {.type_url = SLICE_NONE};
    assert_false(session_on_request(s, &r, &err));
    assert_int_equal(err.kind, ERR_PROTOCOL);
    r.type_url = SLICE("type.googleapis.com/envoy.service.runtime.v3.Runtime");
    assert_true(session_on_request(s, &r, &err));
    struct session_response out;
    assert_false(session_next(s, &out));
    session_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_accepted_response_is_not_answered),
        cmocka_unit_test(nothing_is_said_before_the_first_publish),
        cmocka_unit_test(an_empty_list_is_everything_for_lds_and_cds_only),
        cmocka_unit_test(a_star_is_everything_for_full_sets_and_a_name_elsewhere),
        cmocka_unit_test(after_a_name_an_empty_list_means_nothing),
        cmocka_unit_test(names_get_what_exists_and_later_what_is_created),
        cmocka_unit_test(named_listeners_and_clusters_are_told_of_a_deletion),
        cmocka_unit_test(a_stale_request_is_ignored),
        cmocka_unit_test(the_first_request_counts_whatever_nonce_it_brings),
        cmocka_unit_test(what_was_refused_is_not_repeated_but_any_change_is_sent),
        cmocka_unit_test(endpoints_follow_clusters_even_if_unchanged),
        cmocka_unit_test(a_repeated_endpoint_response_keeps_its_version),
        cmocka_unit_test(only_one_response_a_type_is_outstanding_and_the_newest_wins),
        cmocka_unit_test(later_types_wait_for_earlier_ones_but_keys_do_not),
        cmocka_unit_test(a_cluster_goes_only_after_its_users_accepted_that),
        cmocka_unit_test(a_cluster_stays_while_its_users_refuse_the_new_state),
        cmocka_unit_test(a_tunnel_goes_after_its_cluster_and_an_address_at_once),
        cmocka_unit_test(a_second_request_without_nonce_is_answered_once),
        cmocka_unit_test(egret_types_are_silent_for_a_node_that_did_not_announce_them),
        cmocka_unit_test(status_tells_where_each_type_stands),
        cmocka_unit_test(a_type_url_is_needed_and_unknown_ones_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
