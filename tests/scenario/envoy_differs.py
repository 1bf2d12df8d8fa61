"""Where Envoy does not do what the strictness tests ask of Egret, and why Egret does not follow it. A test named in WHOLE must
fail with Envoy (a strict xfail: when it passes, its line has to go), one in NOT_RUN is not run with it; of a table of cases, those
that a pattern of CASES explains may differ. docs/differences.md tells users the same in short."""
import os
import re

import pytest

HALF = "a FIN cancels what is under way; half a connection may be closed (RFC 9112 9.6)"
WHOLE = {
    "strict_h1.exact_statuses": "400 or 431 for everything; the statuses that say what was wrong (414, 417, 501, 505) help who asks",
    "strict_h1.what_was_answered_before_a_request_was_cut_short_still_arrives": HALF,
    "strict_flow.a_fin_behind_a_whole_request_still_gets_its_answer": HALF,
    "strict_flow.interim_answers_pass_but_a_100_nobody_waits_for": "102 and 103 are dropped; RFC 9110 15.2 wants them forwarded",
    "strict_flow.trailers_pass_in_all_four_combinations": "HTTP/1 trailers are dropped without enable_trailers",
    "strict_flow.expect_is_answered_when_the_body_is_wanted": "100 Continue goes out before it is known whether the body is wanted",
    "strict_flow.a_short_rest_of_an_upload_is_read_and_the_connection_lives_on": "an early answer costs the connection",
    "strict_flow.an_early_answer_over_http2_stops_a_long_upload_and_lets_a_short_one_end": "an early answer resets the upload at once",
    "strict_tls.a_request_for_the_other_certificate_is_misdirected": "a connection made for one certificate serves names of another",
    "websocket.halves_close_on_their_own": "an upgraded connection ends whole when one half does",
    "websocket.bytes_are_the_same_over_http2": "sec-websocket-accept, an answer to a key that was not sent, is passed to HTTP/2 (RFC 8441 5)",
    "websocket.refusals_over_http2": "an upstream's 200 to the upgrade becomes a 200, which over HTTP/2 says that the tunnel stands",
    "h2_downgrade.the_declared_length_is_the_length": "the head has gone upstream as a whole message before its length is contradicted",
    "h2_downgrade.malformed_trailers_reset_their_stream": "trailers, malformed ones too, are dropped towards HTTP/1",
    "h2_downgrade.sound_requests_become_one_sound_message": "trailers are dropped towards HTTP/1",
}
NOT_RUN = {
    "strict_h1.the_same_in_single_bytes": "about a parser of ours: its verdict does not depend on how the bytes arrive",
    "strict_h1.whatever_of_a_damaged_request_goes_on_is_sound_and_nothing_stays_behind": "about a parser of ours",
    "websocket.99_tunnels_run_at_full_speed_beside_one_that_is_stuck": "does not come to its end within the bound of a minute",
}

LINES = {
    r"(?<!\\r)\\n|\\r(?!\\n)": "a bare CR or LF is a line's end to some and data to others",
    r"\\r\\n( |\\t)": "a folded line (obsolete in RFC 9112 5.2) is one field or two",
}
LOOK_ALIKES = {
    r"(?i)[-_]Transfer-Encoding|Transfer(_|\.|--|-_|\+|~|`|!|)Encoding|Transfer-Encoding[-_']": "a name that a next hop may take for Transfer-Encoding",
    r"(?i)[-_]Content-Length|Content(_|\.|--|~|\+|)Length|Content-Length[-_]": "a name that a next hop may take for Content-Length",
}
HEADS = {**LINES, **LOOK_ALIKES,
         r"(?i)Transfer-Encoding: ?( |\\t)?\\r\\n": "an empty Transfer-Encoding beside another",
         r"9223372036854775808": "a length beyond what a signed number holds"}
CHUNKS = {**LINES, **LOOK_ALIKES,
          r"^b'5( |\\t)": "white space behind a chunk's size",
          r"^b'(5|0)?;|5\\r\\nhello\\r\\n0;": "a chunk extension that is none, or of any length",
          r"^b'[8fF][0-9a-fA-F]{15}": "a chunk's size that wraps to something small",
          r"0{17,}": "a size of any number of digits",
          r"hell\\r|helloX|hello ": "something else than CRLF behind a chunk",
          r"0\\r\\n[A-Z]": "trailers about framing, routing and the connection (RFC 9110 6.5.1)"}
CASES = {
    **{f"strict_h1.{group}": HEADS for group in ("te-with-cl", "te-before-cl", "te", "te-beside-chunked", "te-old", "cl", "cl-get", "cl-chunked")},
    "strict_h1.chunks": CHUNKS,
    "strict_h1.host": {**LINES,
                       r"Host: ?[^\\]*\\r\\n(X: y\\r\\n)?[Hh](ost|OST):": "several Host fields are joined; whose name is it?",
                       r"^b['\"]GET / HTTP/1\.1\\r\\nHost:": "a Host that is no host and port",
                       r"GET https?://": "a target whose host is another than Host's, or has a user"},
    "strict_h1.line": {**LINES, r"  |\\t|HTTP/1\.1 |^b'(\\r|\\n)": "more than one space, tabs, or several empty lines around the parts of a request line"},
    "strict_h1.field": {**HEADS, r"Connection: ": "Connection names no token, or a field that is not hop by hop"},
    "strict_upstream.heads": {**HEADS,
                              r"HTTP/1\.1(  |\\t)200|200\\tOK": "more than one space in a status line",
                              r"HTTP/1\.1 (2000|600|999)": "a status that is none",
                              r"HTTP/(1\.2|2\.0|0\.9)": "a version that was not asked for",
                              r"Connection: ": "Connection names no token, or a field that is not hop by hop",
                              r"HTTP/1\.0 200 OK\\r\\nTransfer-Encoding": "chunked in HTTP/1.0",
                              r"101 Switching": "an upgrade that nobody asked for",
                              r"100 Continue": "interim answers without end"},
    "strict_upstream.bodies": {**CHUNKS, r"\\n5( |;)|\\r\\n5;|a\\r\\nhello": "white space and extensions behind a chunk's size",
                               r"\\r\\n0\\r\\nContent-Length": "trailers about framing"},
    "strict_upstream.http2": {r"status (099|600)": "a status that is none", r"begins with a space|ends in a tab": "white space around a value",
                              r"framing field": "a name that a next hop may take for Content-Length", r"too many fields": "503 instead of 502",
                              r"many 1xx": "interim answers without end"},
    "strict_upstream.floods": {r"unknown|1xx": "is read for as long as the route's timeout lets it"},
    "h2_downgrade.fields": {**LOOK_ALIKES, r"http2-settings": "a field of the connection (RFC 9113 8.2.2)", r"'host', 'b'": "a host beside another :authority",
                           r"'content-length', '(5|-1)'": "the head has gone upstream before its length is contradicted"},
    "h2_downgrade.heads": {r"':path', '/(ä|\\x80|#x)'": "bytes that are in no URI; 400 for a fragment",
                           r"':authority', '|'host', '": "an authority that is no host and port", r"'ftp'|'javascript'": "schemes that nobody serves here",
                           r"'CONNECT'\), \(':authority', 'a'\)": "a tunnel to a host without a port: 403"},
}


def pytest_collection_modifyitems(items):
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        name = f"{os.path.basename(str(item.fspath))[5:-3]}.{item.originalname[5:]}" if params.get("peer") == "envoy" else ""
        if name in WHOLE:
            item.add_marker(pytest.mark.xfail(reason=WHOLE[name], strict=True))
        if name in NOT_RUN:
            item.add_marker(pytest.mark.skip(reason="Envoy: " + NOT_RUN[name]))


def some(peer, cases):
    """All for Egret; for Envoy each fifth, unless EGRET_ALL_CASES is set: its answers are a comparison, no proof."""
    cases = list(cases)
    return cases if peer == "egret" or os.environ.get("EGRET_ALL_CASES") else cases[::5]


def unexplained(peer, table, wrong):
    """wrong: tuples that begin with the case (bytes, or what has a repr)."""
    if peer == "egret":
        return wrong
    return [w for w in wrong if not any(re.search(p, repr(w[0])) for p in CASES.get(table, {}))]
