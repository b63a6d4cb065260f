"! Calls the token server through the alias's SM59 destination. The client secret is read here, put into one header, and
"! forgotten; nothing in here writes a log, a message or a table.
CLASS zcl_tkw_server DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    INTERFACES zif_tkw_server.

    "! @parameter client | the alias whose destination and secret are used
    METHODS constructor
      IMPORTING
        client TYPE ztkw_clients.

  PROTECTED SECTION.
  PRIVATE SECTION.
    CONSTANTS:
      "! The path of the Generate Access Token API where the alias names none.
      c_path        TYPE string VALUE `/integration/v1/authz/token`,
      "! Seconds for one answer: a token server needs milliseconds, a distant network some seconds.
      c_timeout     TYPE i VALUE 30,
      "! The secret is not in the destination but in table ZTKW_SECRETS.
      c_in_table    TYPE ztkw_secret_in VALUE 'T'.

    DATA client TYPE ztkw_clients.

    METHODS path
      RETURNING
        VALUE(path) TYPE string.

    METHODS open
      RETURNING
        VALUE(http) TYPE REF TO if_http_client
      RAISING
        zcx_tkw.

    METHODS secret
      RETURNING
        VALUE(secret) TYPE string
      RAISING
        zcx_tkw.

    "! Sends and reads the whole answer; status 0 when there was none.
    METHODS exchange
      IMPORTING
        http            TYPE REF TO if_http_client
      RETURNING
        VALUE(response) TYPE zcl_tkw_answer=>ty_response.
ENDCLASS.


CLASS zcl_tkw_server IMPLEMENTATION.

  METHOD constructor.
    me->client = client.
  ENDMETHOD.

  METHOD zif_tkw_server~generate.
    DATA: http     TYPE REF TO if_http_client,
          response TYPE zcl_tkw_answer=>ty_response,
          uri      TYPE string.

    http = open( ).
    uri = path( ).
    IF client-handover > 0.
      uri = |{ uri }?handover={ client-handover }|.
    ENDIF.
    cl_http_utility=>set_request_uri( request = http->request
                                      uri     = uri ).
    " Proxies repeat a GET on their own; each repetition would end the token before.
    http->request->set_method( if_http_request=>co_request_method_post ).
    http->request->set_header_field( name  = 'If-Match'
                                     value = |"{ generation }"| ).
    response = exchange( http ).
    IF response-status = 0.
      answer-outcome = zif_tkw_server=>c_unavailable.
      answer-code = 'NO_ANSWER'.
      RETURN.
    ENDIF.
    answer = zcl_tkw_answer=>generated( response ).
  ENDMETHOD.

  METHOD zif_tkw_server~status.
    DATA: http     TYPE REF TO if_http_client,
          response TYPE zcl_tkw_answer=>ty_response.

    http = open( ).
    cl_http_utility=>set_request_uri( request = http->request
                                      uri     = |{ path( ) }/status| ).
    http->request->set_method( if_http_request=>co_request_method_get ).
    response = exchange( http ).
    IF response-status = 0.
      answer-outcome = zif_tkw_server=>c_unavailable.
      answer-code = 'NO_ANSWER'.
      RETURN.
    ENDIF.
    answer = zcl_tkw_answer=>told( response ).
  ENDMETHOD.

  METHOD zif_tkw_server~revoke.
    DATA: http     TYPE REF TO if_http_client,
          response TYPE zcl_tkw_answer=>ty_response,
          content  TYPE string.

    http = open( ).
    cl_http_utility=>set_request_uri( request = http->request
                                      uri     = `/oauth2/revoke` ).
    http->request->set_method( if_http_request=>co_request_method_post ).
    http->request->set_header_field( name  = 'Content-Type'
                                     value = 'application/x-www-form-urlencoded' ).
    content = |token={ cl_http_utility=>escape_url( access_token ) }|.
    IF client-secret_in = c_in_table.
      " RFC 6749 has no header of its own for a secret: either HTTP Basic, as the destination sends it, or the form.
      http->request->delete_header_field( 'x-clear-client-secret' ).
      content = |{ content }&client_id={ cl_http_utility=>escape_url( |{ client-client_id }| ) }| &&
             |&client_secret={ cl_http_utility=>escape_url( secret( ) ) }|.
    ENDIF.
    http->request->set_cdata( content ).
    CLEAR content.
    response = exchange( http ).
    IF response-status = 0.
      answer-outcome = zif_tkw_server=>c_unavailable.
      answer-code = 'NO_ANSWER'.
      RETURN.
    ENDIF.
    answer = zcl_tkw_answer=>told( response ).
  ENDMETHOD.

  METHOD path.
    path = client-path.
    IF path IS INITIAL.
      path = c_path.
    ENDIF.
  ENDMETHOD.

  METHOD open.
    DATA reason TYPE string.

    cl_http_client=>create_by_destination(
      EXPORTING
        destination              = client-destination
      IMPORTING
        client                   = http
      EXCEPTIONS
        argument_not_found       = 1
        destination_not_found    = 2
        destination_no_authority = 3
        plugin_not_active        = 4
        internal_error           = 5
        OTHERS                   = 6 ).
    IF sy-subrc <> 0.
      reason = sy-subrc.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '011'
          arg1  = client-client_alias
          arg2  = client-destination
          arg3  = condense( reason ).
    ENDIF.
    " A 401 must come back as an answer, not as a logon window; a redirect would carry the secret elsewhere.
    http->propertytype_logon_popup = if_http_client=>co_disabled.
    http->propertytype_redirect = if_http_client=>co_disabled.
    http->request->set_header_field( name  = 'Accept'
                                     value = 'application/json' ).
    IF client-secret_in = c_in_table.
      http->request->set_header_field( name  = 'x-clear-client-secret'
                                       value = secret( ) ).
    ENDIF.
  ENDMETHOD.

  METHOD secret.
    DATA store TYPE REF TO zcl_tkw_store.

    CREATE OBJECT store.
    secret = store->secret( client-client_alias ).
    IF secret IS INITIAL.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '013'
          arg1  = client-client_alias.
    ENDIF.
  ENDMETHOD.

  METHOD exchange.
    http->send(
      EXPORTING
        timeout                    = c_timeout
      EXCEPTIONS
        http_communication_failure = 1
        http_invalid_state         = 2
        http_processing_failed     = 3
        http_invalid_timeout       = 4
        OTHERS                     = 5 ).
    IF sy-subrc = 0.
      http->receive(
        EXCEPTIONS
          http_communication_failure = 1
          http_invalid_state         = 2
          http_processing_failed     = 3
          OTHERS                     = 4 ).
    ENDIF.
    IF sy-subrc = 0.
      http->response->get_status( IMPORTING code = response-status ).
      response-body = http->response->get_cdata( ).
      response-date = http->response->get_header_field( 'date' ).
      response-retry_after = http->response->get_header_field( 'retry-after' ).
    ENDIF.
    http->close( EXCEPTIONS OTHERS = 1 ).
  ENDMETHOD.

ENDCLASS.
