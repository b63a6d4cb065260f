"! Reads the token server's answers: status, body and headers in, a value out. Takes a token only in the shape that fits the
"! table and a header, a code only in letters that fit a message. Calls nobody.
CLASS zcl_tkw_answer DEFINITION PUBLIC FINAL CREATE PRIVATE.

  PUBLIC SECTION.
    TYPES:
      BEGIN OF ty_response,
        status      TYPE i,
        body        TYPE string,
        "! header Date
        date        TYPE string,
        "! header Retry-After
        retry_after TYPE string,
      END OF ty_response.

    "! The answer to a generate.
    CLASS-METHODS generated
      IMPORTING
        response      TYPE ty_response
      RETURNING
        VALUE(answer) TYPE zif_tkw_server=>ty_answer.

    "! The answer to a question that reveals no token.
    CLASS-METHODS told
      IMPORTING
        response      TYPE ty_response
      RETURNING
        VALUE(answer) TYPE zif_tkw_server=>ty_answer.

    "! The error code in a body: of the errors envelope, or OAuth's error; else HTTP_ and the status.
    CLASS-METHODS code
      IMPORTING
        status      TYPE i
        json        TYPE REF TO zcl_tkw_json
      RETURNING
        VALUE(code) TYPE ztkw_code.

    "! A text of letters, digits and _ as a code; anything else, which might hold a credential, as nothing.
    CLASS-METHODS as_code
      IMPORTING
        text        TYPE string
      RETURNING
        VALUE(code) TYPE ztkw_code.

  PROTECTED SECTION.
  PRIVATE SECTION.
    "! Longest wait taken from Retry-After: a quota ends with the UTC day.
    CONSTANTS c_longest_wait TYPE i VALUE 86400.

    CLASS-METHODS common
      IMPORTING
        response      TYPE ty_response
        json          TYPE REF TO zcl_tkw_json
      RETURNING
        VALUE(answer) TYPE zif_tkw_server=>ty_answer.

    CLASS-METHODS number
      IMPORTING
        text          TYPE string
      RETURNING
        VALUE(number) TYPE ztkw_generation.
ENDCLASS.


CLASS zcl_tkw_answer IMPLEMENTATION.

  METHOD generated.
    DATA: json TYPE REF TO zcl_tkw_json,
          text TYPE string.

    CREATE OBJECT json
      EXPORTING
        document = response-body.
    answer = common( response = response
                     json     = json ).
    IF answer-outcome <> zif_tkw_server=>c_done.
      RETURN.
    ENDIF.
    answer-outcome = zif_tkw_server=>c_strange.
    answer-code = 'TOKEN_NOT_UNDERSTOOD'.
    text = json->text( `/access_token` ).
    " At most 256 characters (Clear); nothing that could end a header line.
    FIND REGEX '^[A-Za-z0-9._~+/=-]{16,256}$' IN text.
    IF sy-subrc <> 0 OR json->has( `/valid_till` ) = abap_false.
      RETURN.
    ENDIF.
    answer-access_token = text.
    answer-generation = number( json->text( `/generation` ) ).
    text = json->text( `/valid_till` ).
    IF text IS NOT INITIAL.
      answer-valid_till = zcl_tkw_time=>from_iso( text ).
      IF answer-valid_till = 0.
        CLEAR answer-access_token.
        RETURN.
      ENDIF.
    ENDIF.
    answer-outcome = zif_tkw_server=>c_done.
    CLEAR answer-code.
  ENDMETHOD.

  METHOD told.
    DATA: json TYPE REF TO zcl_tkw_json,
          text TYPE string.

    CREATE OBJECT json
      EXPORTING
        document = response-body.
    answer = common( response = response
                     json     = json ).
    answer-generation = number( json->text( `/generation` ) ).
    text = json->text( `/valid_till` ).
    IF text IS NOT INITIAL.
      answer-valid_till = zcl_tkw_time=>from_iso( text ).
    ENDIF.
  ENDMETHOD.

  METHOD common.
    answer-status = response-status.
    answer-server_time = zcl_tkw_time=>from_http_date( response-date ).
    FIND REGEX '^[0-9]{1,6}$' IN response-retry_after.
    IF sy-subrc = 0.
      answer-retry_after = response-retry_after.
      IF answer-retry_after > c_longest_wait.
        answer-retry_after = c_longest_wait.
      ENDIF.
    ENDIF.
    CASE response-status.
      WHEN 200.
        answer-outcome = zif_tkw_server=>c_done.
        RETURN.
      WHEN 412.
        answer-outcome = zif_tkw_server=>c_mismatch.
        answer-generation = number( json->text( `/errors/1/generation` ) ).
      WHEN 408 OR 425 OR 429 OR 500 OR 502 OR 503 OR 504.
        answer-outcome = zif_tkw_server=>c_unavailable.
      WHEN OTHERS.
        answer-outcome = zif_tkw_server=>c_refused.
    ENDCASE.
    answer-code = code( status = response-status
                        json   = json ).
  ENDMETHOD.

  METHOD code.
    code = as_code( json->text( `/errors/1/error_code` ) ).
    IF code IS INITIAL.
      code = as_code( to_upper( json->text( `/error` ) ) ).
    ENDIF.
    IF code IS INITIAL.
      code = |HTTP_{ status }|.
    ENDIF.
  ENDMETHOD.

  METHOD as_code.
    FIND REGEX '^[A-Z][A-Z0-9_]{0,39}$' IN text.
    IF sy-subrc = 0.
      code = text.
    ENDIF.
  ENDMETHOD.

  METHOD number.
    FIND REGEX '^[0-9]{1,15}$' IN text.
    IF sy-subrc = 0.
      number = text.
    ENDIF.
  ENDMETHOD.

ENDCLASS.
