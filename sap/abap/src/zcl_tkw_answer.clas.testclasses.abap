CLASS ltcl_answer DEFINITION FINAL FOR TESTING RISK LEVEL HARMLESS DURATION SHORT.

  PRIVATE SECTION.
    CONSTANTS:
      c_now TYPE ztkw_moment VALUE '20261123100000',
      c_end TYPE ztkw_moment VALUE '20261123110000'.

    METHODS token_with_generation FOR TESTING.
    METHODS token_of_clear_like_server FOR TESTING.
    METHODS token_that_never_expires FOR TESTING.
    METHODS strange_gives_no_token FOR TESTING.
    METHODS mismatch_names_generation FOR TESTING.
    METHODS outcome_by_status FOR TESTING.
    METHODS codes_hold_no_credential FOR TESTING.
    METHODS retry_after_is_capped FOR TESTING.

    METHODS generated
      IMPORTING
        body          TYPE string
        status        TYPE i DEFAULT 200
        retry_after   TYPE string DEFAULT ``
      RETURNING
        VALUE(answer) TYPE zif_tkw_server=>ty_answer.

    METHODS strange
      IMPORTING
        body TYPE string.

    METHODS outcome
      IMPORTING
        status   TYPE i
        expected TYPE clike.

    METHODS retry_after
      IMPORTING
        text     TYPE string
        expected TYPE i.
ENDCLASS.


CLASS ltcl_answer IMPLEMENTATION.

  METHOD generated.
    DATA response TYPE zcl_tkw_answer=>ty_response.

    response-status = status.
    response-body = body.
    response-date = `Mon, 23 Nov 2026 10:00:00 GMT`.
    response-retry_after = retry_after.
    answer = zcl_tkw_answer=>generated( response ).
  ENDMETHOD.

  METHOD strange.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer = generated( body ).
    cl_abap_unit_assert=>assert_equals( act = answer-outcome
                                        exp = zif_tkw_server=>c_strange
                                        msg = body ).
    cl_abap_unit_assert=>assert_initial( act = answer-access_token
                                         msg = body ).
  ENDMETHOD.

  METHOD token_with_generation.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer = generated( `{"access_token":"1.abcdefghijklmnop_0123","valid_till":"2026-11-23T11:00:00+00:00",` &&
                        `"expires_in":3600,"generation":7}` ).
    cl_abap_unit_assert=>assert_equals( act = answer-outcome
                                        exp = zif_tkw_server=>c_done ).
    cl_abap_unit_assert=>assert_equals( act = answer-access_token
                                        exp = `1.abcdefghijklmnop_0123` ).
    cl_abap_unit_assert=>assert_equals( act = answer-generation
                                        exp = 7 ).
    cl_abap_unit_assert=>assert_equals( act = answer-valid_till
                                        exp = c_end ).
    cl_abap_unit_assert=>assert_equals( act = answer-server_time
                                        exp = c_now ).
  ENDMETHOD.

  METHOD token_of_clear_like_server.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer = generated( `{"access_token":"1.abcdefghijklmnop_0123","valid_till":"2026-11-23T11:00:00+00:00"}` ).
    cl_abap_unit_assert=>assert_equals( act = answer-outcome
                                        exp = zif_tkw_server=>c_done ).
    cl_abap_unit_assert=>assert_initial( answer-generation ).
  ENDMETHOD.

  METHOD token_that_never_expires.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer = generated( `{"access_token":"1.abcdefghijklmnop_0123","valid_till":null}` ).
    cl_abap_unit_assert=>assert_equals( act = answer-outcome
                                        exp = zif_tkw_server=>c_done ).
    cl_abap_unit_assert=>assert_initial( answer-valid_till ).
  ENDMETHOD.

  METHOD strange_gives_no_token.
    DATA text TYPE string.

    strange( `` ).
    strange( `<html>Welcome to the proxy</html>` ).
    strange( `{"valid_till":null}` ).
    strange( `{"access_token":"1.abcdefghijklmnop_0123"}` ).
    strange( `{"access_token":"short","valid_till":null}` ).
    strange( `{"access_token":"1.abcdefghijklmnop\r\nX-Evil: 1","valid_till":null}` ).
    strange( `{"access_token":"1.abcdefghijklmnop_0123","valid_till":"tomorrow"}` ).
    text = repeat( val = `a`
                   occ = 257 ).
    strange( |\{"access_token":"{ text }","valid_till":null\}| ).
  ENDMETHOD.

  METHOD mismatch_names_generation.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer = generated( status = 412
                        body   = `{"errors":[{"error_code":"GENERATION_MISMATCH","generation":9}]}` ).
    cl_abap_unit_assert=>assert_equals( act = answer-outcome
                                        exp = zif_tkw_server=>c_mismatch ).
    cl_abap_unit_assert=>assert_equals( act = answer-generation
                                        exp = 9 ).
    cl_abap_unit_assert=>assert_equals( act = answer-code
                                        exp = 'GENERATION_MISMATCH' ).
  ENDMETHOD.

  METHOD outcome.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer = generated( status = status
                        body   = `` ).
    cl_abap_unit_assert=>assert_equals( act = answer-outcome
                                        exp = expected
                                        msg = |{ status }| ).
    cl_abap_unit_assert=>assert_equals( act = answer-code
                                        exp = |HTTP_{ status }| ).
  ENDMETHOD.

  METHOD outcome_by_status.
    outcome( status   = 401
             expected = zif_tkw_server=>c_refused ).
    outcome( status   = 302
             expected = zif_tkw_server=>c_refused ).
    outcome( status   = 429
             expected = zif_tkw_server=>c_unavailable ).
    outcome( status   = 503
             expected = zif_tkw_server=>c_unavailable ).
  ENDMETHOD.

  METHOD codes_hold_no_credential.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_answer=>as_code( `QUOTA_EXCEEDED` )
                                        exp = 'QUOTA_EXCEEDED' ).
    cl_abap_unit_assert=>assert_initial( zcl_tkw_answer=>as_code( `tw-secret.sandbox.0000.0000` ) ).
    cl_abap_unit_assert=>assert_initial( zcl_tkw_answer=>as_code( `1.ABC_DEF` ) ).
    cl_abap_unit_assert=>assert_initial( zcl_tkw_answer=>as_code( repeat( val = `A`
                                                                          occ = 41 ) ) ).
    answer = generated( status = 400
                        body   = `{"error":"invalid_client"}` ).
    cl_abap_unit_assert=>assert_equals( act = answer-code
                                        exp = 'INVALID_CLIENT' ).
  ENDMETHOD.

  METHOD retry_after.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer = generated( status      = 429
                        body        = ``
                        retry_after = text ).
    cl_abap_unit_assert=>assert_equals( act = answer-retry_after
                                        exp = expected
                                        msg = text ).
  ENDMETHOD.

  METHOD retry_after_is_capped.
    retry_after( text     = `17`
                 expected = 17 ).
    retry_after( text     = `999999`
                 expected = 86400 ).
    retry_after( text     = `Mon, 23 Nov 2026`
                 expected = 0 ).
  ENDMETHOD.

ENDCLASS.
