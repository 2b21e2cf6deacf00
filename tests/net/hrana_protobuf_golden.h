/// Hrana's messages in Protobuf, in hexadecimal, that did not come from our own writer: what protoc
/// 3.21.12 --encode makes of the text above each, with the schema of HRANA_3_SPEC.md.
#pragma once

#include <string_view>

namespace walferry::net::golden {

// clang-format off
// hrana.http.PipelineReqBody
//   baton: "b1"
//   requests { execute { stmt { sql: "SELECT ?" args { null {} } args { integer: -9223372036854775808 } args { integer: 9223372036854775807 } args { float: -0.5 } args { text: "a\000\303\251" } args { blob: "\000\377" } args { text: "" } named_args { name: ":n" value { integer: 0 } } want_rows: false } } }
//   requests { batch { batch { steps { stmt { sql: "A" } } steps { condition { and { conds { step_ok: 0 } conds { not { step_error: 0 } } conds { or { } } conds { is_autocommit { } } } } stmt { sql_id: -1 } } } } }
//   requests { sequence { sql: "B; C" } }
//   requests { describe { sql_id: 7 } }
//   requests { store_sql { sql_id: 7 sql: "D" } }
//   requests { close_sql { sql_id: -2147483648 } }
//   requests { get_autocommit { } }
//   requests { close { } }
inline constexpr std::string_view kPipeline =
    "0a026231125512530a510a0853454c454354203f1a020a001a0b10ffffffffffffffffff011a0b10feffffff"
    "ffffffffff011a0919000000000000e0bf1a0622046100c3a91a042a0200ff1a02220022080a023a6e120210"
    "00280012301a2e0a2c0a0512030a01410a230a1422120a0208000a041a0210000a022a000a023200120b10ff"
    "ffffffffffffffff01120822060a04423b204312042a021007120732050807120144120d3a0b0880808080f8"
    "ffffffff011202420012020a00";

// hrana.http.CursorReqBody
//   baton: "c" batch { steps { stmt { sql: "A" want_rows: true } } }
inline constexpr std::string_view kCursor =
    "0a016312090a0712050a01412801";

// hrana.ws.ClientMsg
//   hello { jwt: "t" }
inline constexpr std::string_view kHello =
    "0a030a0174";

// hrana.ws.ClientMsg
//   hello { }
inline constexpr std::string_view kHelloNoToken =
    "0a00";

// hrana.ws.ClientMsg
//   request { request_id: -5 open_stream { stream_id: 3 } }
inline constexpr std::string_view kOpenStream =
    "120f08fbffffffffffffffff0112020803";

// hrana.ws.ClientMsg
//   request { request_id: 2147483647 close_stream { stream_id: -3 } }
inline constexpr std::string_view kCloseStream =
    "121308ffffffff071a0b08fdffffffffffffffff01";

// hrana.ws.ClientMsg
//   request { request_id: 1 execute { stream_id: 3 stmt { sql: "A" } } }
inline constexpr std::string_view kExecute =
    "120b08012207080312030a0141";

// hrana.ws.ClientMsg
//   request { request_id: 1 batch { stream_id: 3 batch { steps { stmt { sql: "A" } } } } }
inline constexpr std::string_view kBatch =
    "120f08012a0b080312070a0512030a0141";

// hrana.ws.ClientMsg
//   request { request_id: 1 open_cursor { stream_id: 3 cursor_id: 4 batch { } } }
inline constexpr std::string_view kOpenCursor =
    "120a08013206080310041a00";

// hrana.ws.ClientMsg
//   request { request_id: 1 close_cursor { cursor_id: 4 } }
inline constexpr std::string_view kCloseCursor =
    "120608013a020804";

// hrana.ws.ClientMsg
//   request { request_id: 1 fetch_cursor { cursor_id: 4 max_count: 4294967295 } }
inline constexpr std::string_view kFetchCursor =
    "120c08014208080410ffffffff0f";

// hrana.ws.ClientMsg
//   request { request_id: 1 sequence { stream_id: 3 sql: "A" } }
inline constexpr std::string_view kSequence =
    "120908014a050803120141";

// hrana.ws.ClientMsg
//   request { request_id: 1 describe { stream_id: 3 sql_id: 9 } }
inline constexpr std::string_view kDescribe =
    "12080801520408031809";

// hrana.ws.ClientMsg
//   request { request_id: 1 store_sql { sql_id: 9 sql: "A" } }
inline constexpr std::string_view kStoreSql =
    "120908015a050809120141";

// hrana.ws.ClientMsg
//   request { request_id: 1 close_sql { sql_id: 9 } }
inline constexpr std::string_view kCloseSql =
    "1206080162020809";

// hrana.ws.ClientMsg
//   request { request_id: 1 get_autocommit { stream_id: 3 } }
inline constexpr std::string_view kGetAutocommit =
    "120608016a020803";

// hrana.StmtResult
//   cols { name: "a" decltype: "INTEGER" } cols { name: "b" }
//   rows { values { null { } } values { integer: -9223372036854775808 } values { integer: 9223372036854775807 } values { float: inf } values { float: -0.0 } values { text: "x\000\303\251" } values { blob: "\000\377" } values { text: "" } values { blob: "" } }
//   rows { values { text: "?\357\277\275!" } values { null { } } }
//   rows { }
//   affected_row_count: 18446744073709551615 last_insert_rowid: -9223372036854775808
inline constexpr std::string_view kResult =
    "0a0c0a01611207494e54454745520a030a0162124a0a020a000a0b10ffffffffffffffffff010a0b10feffff"
    "ffffffffffff010a0919000000000000f07f0a091900000000000000800a0622047800c3a90a042a0200ff0a"
    "0222000a022a00120d0a0722053fefbfbd210a020a00120018ffffffffffffffffff0120ffffffffffffffff"
    "ff01";

// hrana.BatchResult
//   step_results { key: 0 value { affected_row_count: 1 last_insert_rowid: 2 } } step_errors { key: 1 value { message: "m" code: "C" } }
inline constexpr std::string_view kBatchResult =
    "0a080800120418012004120a080112060a016d120143";

// hrana.DescribeResult
//   params { name: ":a" } params { } cols { name: "a" decltype: "TEXT" } cols { name: "b" } is_explain: true is_readonly: true
inline constexpr std::string_view kDescribeResult =
    "0a040a023a610a0012090a016112045445585412030a016218012001";

// hrana.http.PipelineRespBody
//   baton: "b2" base_url: "http://h"
//   results { ok { close { } } }
//   results { ok { execute { result { cols { name: "a" } } } } }
//   results { ok { batch { result { step_errors { key: 300 value { message: "m" } } } } } }
//   results { ok { sequence { } } }
//   results { ok { describe { result { is_explain: true is_readonly: true } } } }
//   results { ok { store_sql { } } }
//   results { ok { close_sql { } } }
//   results { ok { get_autocommit { is_autocommit: true } } }
//   results { error { message: "m" code: "C" } }
inline constexpr std::string_view kPipelineBody =
    "0a0262321208687474703a2f2f681a040a020a001a0b0a0912070a050a030a01611a100a0e1a0c0a0a120808"
    "ac0212030a016d1a040a0222001a0a0a082a060a04180120011a040a0232001a040a023a001a060a04420208"
    "011a0812060a016d120143";

// hrana.CursorEntry
//   step_begin { step: 300 cols { name: "a" decltype: "INT" } }
inline constexpr std::string_view kStepBegin =
    "0a0d08ac0212080a01611203494e54";

// hrana.CursorEntry
//   row { values { integer: 1 } }
inline constexpr std::string_view kRowEntry =
    "22040a021002";

// hrana.CursorEntry
//   step_end { affected_row_count: 3 last_insert_rowid: -4 }
inline constexpr std::string_view kStepEnd =
    "120408031007";

// hrana.CursorEntry
//   step_error { step: 2 error { message: "m" code: "C" } }
inline constexpr std::string_view kStepError =
    "1a0a080212060a016d120143";

// hrana.CursorEntry
//   error { message: "m" code: "C" }
inline constexpr std::string_view kErrorEntry =
    "2a060a016d120143";

// hrana.ws.ServerMsg
//   hello_ok { }
inline constexpr std::string_view kHelloOk =
    "0a00";

// hrana.ws.ServerMsg
//   hello_error { error { message: "m" code: "C" } }
inline constexpr std::string_view kHelloError =
    "12080a060a016d120143";

// hrana.ws.ServerMsg
//   response_error { request_id: -1 error { message: "m" code: "C" } }
inline constexpr std::string_view kResponseError =
    "221308ffffffffffffffffff0112060a016d120143";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 open_stream { } }
inline constexpr std::string_view kOpenStreamOk =
    "1a0408051200";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 close_stream { } }
inline constexpr std::string_view kCloseStreamOk =
    "1a0408051a00";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 open_cursor { } }
inline constexpr std::string_view kOpenCursorOk =
    "1a0408053200";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 close_cursor { } }
inline constexpr std::string_view kCloseCursorOk =
    "1a0408053a00";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 fetch_cursor { entries { row { } } entries { error { message: "m" code: "C" } } done: true } }
inline constexpr std::string_view kFetchCursorOk =
    "1a14080542100a0222000a082a060a016d1201431001";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 execute { result { cols { name: "a" } } } }
inline constexpr std::string_view kExecuteOk =
    "1a0b080522070a050a030a0161";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 batch { result { step_errors { key: 300 value { message: "m" } } } } }
inline constexpr std::string_view kBatchOk =
    "1a1008052a0c0a0a120808ac0212030a016d";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 sequence { } }
inline constexpr std::string_view kSequenceOk =
    "1a0408054a00";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 describe { result { is_explain: true is_readonly: true } } }
inline constexpr std::string_view kDescribeOk =
    "1a0a080552060a0418012001";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 store_sql { } }
inline constexpr std::string_view kStoreSqlOk =
    "1a0408055a00";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 close_sql { } }
inline constexpr std::string_view kCloseSqlOk =
    "1a0408056200";

// hrana.ws.ServerMsg
//   response_ok { request_id: 5 get_autocommit { is_autocommit: true } }
inline constexpr std::string_view kGetAutocommitOk =
    "1a0608056a020801";
// clang-format on

}  // namespace walferry::net::golden
