"! The access token of an alias: the one class an application needs. Renewal runs in a LUW of its own; this class commits
"! nothing, keeps no token between two calls and writes none anywhere. It demands activity 16 on ZTKW_TOKEN.
"! <br/>Ask for the token before the first change of your LUW: SAP itself ends the database LUW at an RFC and, since
"! 7.40 SP05, at an HTTP call.
CLASS zcl_tokenward DEFINITION PUBLIC FINAL CREATE PRIVATE.

  PUBLIC SECTION.
    "! The header of every product API (Clear).
    CONSTANTS c_header TYPE string VALUE `x-cleartax-auth-token`.

    "! The one way to get an instance: only for who has the authority.
    CLASS-METHODS of
      IMPORTING
        alias            TYPE ztkw_alias
      RETURNING
        VALUE(tokenward) TYPE REF TO zcl_tokenward
      RAISING
        zcx_tkw.

    "! See of( ).
    METHODS constructor
      IMPORTING
        alias TYPE ztkw_alias
      RAISING
        zcx_tkw.

    "! Sends a prepared request with the token, and once more with a new token if the API refuses the first. The header is
    "! in the request only while it is sent. A second 401 is the API's last word, and so is any other status.
    "! @parameter http_client | of the API's own destination, request filled, not sent
    "! @parameter status | of the last answer, which lies in http_client-&gt;response; 0 when there was none
    METHODS call
      IMPORTING
        http_client   TYPE REF TO if_http_client
        timeout       TYPE i DEFAULT 60
      RETURNING
        VALUE(status) TYPE i
      RAISING
        zcx_tkw.

    "! The token, for callers that send the header themselves.
    "! @parameter may_renew | abap_false: no RFC, so no database commit, whatever happens
    METHODS get
      IMPORTING
        may_renew    TYPE abap_bool DEFAULT abap_true
      RETURNING
        VALUE(token) TYPE string
      RAISING
        zcx_tkw.

    "! An API answered 401 to this token: gives another one, renewing only if nobody has yet.
    METHODS refused
      IMPORTING
        token       TYPE string
      RETURNING
        VALUE(next) TYPE string
      RAISING
        zcx_tkw.

    "! Renews if the end is near; for a background job.
    "! @parameter outcome | constants of zcl_tkw_renewal
    METHODS renew_ahead
      RETURNING
        VALUE(outcome) TYPE char1
      RAISING
        zcx_tkw.

    "! Whether a 401 with this body may be cured by a new token. Codes that say otherwise do not cost one.
    CLASS-METHODS is_curable
      IMPORTING
        body           TYPE string
      RETURNING
        VALUE(curable) TYPE abap_bool.

  PROTECTED SECTION.
  PRIVATE SECTION.
    DATA:
      alias  TYPE ztkw_alias,
      client TYPE ztkw_clients,
      store  TYPE REF TO zcl_tkw_store.

    METHODS demand
      RAISING
        zcx_tkw.

    METHODS renew
      IMPORTING
        refused_serial TYPE ztkw_serial DEFAULT 0
        ahead          TYPE abap_bool DEFAULT abap_false
      RETURNING
        VALUE(outcome) TYPE char1
      RAISING
        zcx_tkw.

    "! The token of the row if it lives, else the reason why there is none.
    METHODS living
      RETURNING
        VALUE(token) TYPE string
      RAISING
        zcx_tkw.

    METHODS send
      IMPORTING
        http_client   TYPE REF TO if_http_client
        token         TYPE string
        timeout       TYPE i
      RETURNING
        VALUE(status) TYPE i.
ENDCLASS.


CLASS zcl_tokenward IMPLEMENTATION.

  METHOD of.
    CREATE OBJECT tokenward
      EXPORTING
        alias = alias.
  ENDMETHOD.

  METHOD constructor.
    me->alias = alias.
    demand( ).
    CREATE OBJECT store.
    client = store->client( alias ).
  ENDMETHOD.

  METHOD demand.
    zcl_tkw_authority=>demand( alias    = alias
                               activity = zcl_tkw_authority=>c_use ).
  ENDMETHOD.

  METHOD call.
    DATA: token TYPE string,
          body  TYPE string.

    token = get( ).
    http_client->propertytype_logon_popup = if_http_client=>co_disabled.
    http_client->propertytype_redirect = if_http_client=>co_disabled.
    status = send( http_client = http_client
                   token       = token
                   timeout     = timeout ).
    IF status <> 401.
      RETURN.
    ENDIF.
    body = http_client->response->get_cdata( ).
    IF is_curable( body ) = abap_false.
      RETURN.
    ENDIF.
    token = refused( token ).
    status = send( http_client = http_client
                   token       = token
                   timeout     = timeout ).
  ENDMETHOD.

  METHOD get.
    DATA: row    TYPE ztkw_tokens,
          margin TYPE i.

    demand( ).
    row = store->token( alias ).
    margin = zcl_tkw_life=>margin( token  = row
                                   wanted = client-margin
                                   chance = 0 ).
    IF zcl_tkw_life=>is_fresh( token  = row
                               now    = zcl_tkw_time=>now( )
                               margin = margin ) = abap_true.
      token = row-access_token.
      RETURN.
    ENDIF.
    IF may_renew = abap_true.
      renew( ).
    ENDIF.
    token = living( ).
  ENDMETHOD.

  METHOD refused.
    DATA row TYPE ztkw_tokens.

    demand( ).
    row = store->token( alias ).
    IF row-access_token = token OR zcl_tkw_life=>is_alive( token = row
                                                           now   = zcl_tkw_time=>now( ) ) = abap_false.
      renew( refused_serial = row-serial ).
    ENDIF.
    next = living( ).
  ENDMETHOD.

  METHOD renew_ahead.
    demand( ).
    outcome = renew( ahead = abap_true ).
  ENDMETHOD.

  METHOD living.
    DATA row TYPE ztkw_tokens.

    row = store->token( alias ).
    IF zcl_tkw_life=>is_alive( token = row
                               now   = zcl_tkw_time=>now( ) ) = abap_false.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '010'
          arg1  = alias.
    ENDIF.
    token = row-access_token.
  ENDMETHOD.

  METHOD renew.
    DATA: kind  TYPE char1,
          msgno TYPE symsgno,
          arg1  TYPE symsgv,
          arg2  TYPE symsgv,
          arg3  TYPE symsgv,
          arg4  TYPE symsgv,
          code  TYPE string.

    " Another session: its COMMIT WORK ends no update task, lock or PERFORM ON COMMIT of the caller, and the caller's
    " ROLLBACK WORK cannot take back a token that the server has already put in force.
    CALL FUNCTION 'ZTKW_RENEW' DESTINATION 'NONE'
      EXPORTING
        alias                 = alias
        refused_serial        = refused_serial
        ahead                 = ahead
      IMPORTING
        outcome               = outcome
        kind                  = kind
        msgno                 = msgno
        arg1                  = arg1
        arg2                  = arg2
        arg3                  = arg3
        arg4                  = arg4
      EXCEPTIONS
        system_failure        = 1
        communication_failure = 2
        OTHERS                = 3.
    IF sy-subrc <> 0.
      code = sy-subrc.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '014'
          arg1  = alias
          arg2  = condense( code ).
    ENDIF.
    IF kind IS NOT INITIAL.
      zcx_tkw=>raise_kind( kind  = kind
                           msgno = msgno
                           arg1  = arg1
                           arg2  = arg2
                           arg3  = arg3
                           arg4  = arg4 ).
    ENDIF.
  ENDMETHOD.

  METHOD send.
    http_client->request->set_header_field( name  = c_header
                                            value = token ).
    http_client->send(
      EXPORTING
        timeout                    = timeout
      EXCEPTIONS
        http_communication_failure = 1
        http_invalid_state         = 2
        http_processing_failed     = 3
        http_invalid_timeout       = 4
        OTHERS                     = 5 ).
    IF sy-subrc = 0.
      http_client->receive(
        EXCEPTIONS
          http_communication_failure = 1
          http_invalid_state         = 2
          http_processing_failed     = 3
          OTHERS                     = 4 ).
    ENDIF.
    IF sy-subrc = 0.
      http_client->response->get_status( IMPORTING code = status ).
    ENDIF.
    http_client->request->delete_header_field( c_header ).
  ENDMETHOD.

  METHOD is_curable.
    DATA: json TYPE REF TO zcl_tkw_json,
          code TYPE string.

    CREATE OBJECT json
      EXPORTING
        document = body.
    code = json->text( `/errors/1/error_code` ).
    CASE code.
      WHEN `ENVIRONMENT_MISMATCH` OR `CLIENT_SECRET_USED_AS_TOKEN` OR `CLIENT_DISABLED` OR `CLIENT_DELETED`.
        curable = abap_false.
      WHEN OTHERS.
        curable = abap_true.
    ENDCASE.
  ENDMETHOD.

ENDCLASS.
