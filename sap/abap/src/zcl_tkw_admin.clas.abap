"! What the customising report does: set up an alias, look at it, test, generate, revoke, remove. Shows no token and no secret.
"! Commits, being the LUW of a person at a screen.
CLASS zcl_tkw_admin DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    TYPES:
      BEGIN OF ty_state,
        alias        TYPE ztkw_alias,
        destination  TYPE ztkw_clients-destination,
        generation   TYPE ztkw_generation,
        valid_till   TYPE ztkw_moment,
        alive        TYPE abap_bool,
        early_deaths TYPE ztkw_count,
        failures     TYPE ztkw_count,
        retry_at     TYPE ztkw_moment,
        last_code    TYPE ztkw_code,
        made_today   TYPE ztkw_count,
      END OF ty_state.

    "! @parameter server | for tests
    METHODS constructor
      IMPORTING
        alias  TYPE ztkw_alias
        server TYPE REF TO zif_tkw_server OPTIONAL
      RAISING
        zcx_tkw.

    "! Saves the set-up. The token in the table is forgotten: it may belong to another API client.
    "! @parameter secret | for table ZTKW_SECRETS; empty keeps what is there
    METHODS save
      IMPORTING
        client TYPE ztkw_clients
        secret TYPE string OPTIONAL
      RAISING
        zcx_tkw.

    "! Whether the token server accepts the client secret. Generates nothing.
    METHODS test
      RETURNING
        VALUE(answer) TYPE zif_tkw_server=>ty_answer
      RAISING
        zcx_tkw.

    "! Makes a new token whether or not one lives, past every pause and budget of ours.
    METHODS generate
      RAISING
        zcx_tkw.

    "! Ends the token at the server and here, without a new one.
    METHODS revoke
      RAISING
        zcx_tkw.

    "! Removes the alias with its token and its secret; ends nothing at the server.
    METHODS remove
      RAISING
        zcx_tkw.

    "! How the alias stands. Never the token.
    METHODS state
      RETURNING
        VALUE(state) TYPE ty_state
      RAISING
        zcx_tkw.

  PROTECTED SECTION.
  PRIVATE SECTION.
    DATA:
      alias       TYPE ztkw_alias,
      test_server TYPE REF TO zif_tkw_server,
      store       TYPE REF TO zcl_tkw_store.

    METHODS demand_change
      RAISING
        zcx_tkw.

    METHODS server
      RETURNING
        VALUE(server) TYPE REF TO zif_tkw_server
      RAISING
        zcx_tkw.

    "! Lets an answer pass, or raises what it means.
    METHODS accept
      IMPORTING
        answer TYPE zif_tkw_server=>ty_answer
      RAISING
        zcx_tkw.
ENDCLASS.


CLASS zcl_tkw_admin IMPLEMENTATION.

  METHOD constructor.
    zcl_tkw_authority=>demand( alias    = alias
                               activity = zcl_tkw_authority=>c_see ).
    me->alias = alias.
    test_server = server.
    CREATE OBJECT store.
  ENDMETHOD.

  METHOD save.
    DATA row TYPE ztkw_clients.

    demand_change( ).
    row = client.
    row-client_alias = alias.
    IF row-destination IS INITIAL.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '033'
          arg1  = alias
          arg2  = 'DESTINATION'.
    ENDIF.
    IF row-secret_in <> 'D' AND row-secret_in <> 'T'.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '033'
          arg1  = alias
          arg2  = 'SECRET_IN'.
    ENDIF.
    IF row-secret_in = 'T' AND secret IS INITIAL AND store->secret( alias ) IS INITIAL.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '013'
          arg1  = alias.
    ENDIF.
    store->save_client( row ).
    IF row-secret_in = 'T' AND secret IS NOT INITIAL.
      store->save_secret( name   = alias
                          secret = secret ).
    ENDIF.
    store->forget( store->token( alias ) ).
    COMMIT WORK.
  ENDMETHOD.

  METHOD test.
    demand_change( ).
    answer = server( )->status( ).
    accept( answer ).
  ENDMETHOD.

  METHOD generate.
    DATA renewal TYPE REF TO zcl_tkw_renewal.

    demand_change( ).
    CREATE OBJECT renewal
      EXPORTING
        client = store->client( alias )
        server = server( ).
    renewal->run( force = abap_true ).
  ENDMETHOD.

  METHOD revoke.
    DATA: token  TYPE ztkw_tokens,
          answer TYPE zif_tkw_server=>ty_answer,
          done   TYPE abap_bool.

    demand_change( ).
    token = store->token( alias ).
    IF token-access_token IS INITIAL.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '010'
          arg1  = alias.
    ENDIF.
    answer = server( )->revoke( token-access_token ).
    IF answer-status = 404 OR answer-status = 405.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '032'
          arg1  = alias.
    ENDIF.
    accept( answer ).
    token-dead_serial = token-serial.
    CLEAR token-access_token.
    store->swap(
      IMPORTING
        done  = done
      CHANGING
        token = token ).
    IF done = abap_false.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '015'
          arg1  = alias.
    ENDIF.
    COMMIT WORK.
  ENDMETHOD.

  METHOD remove.
    demand_change( ).
    store->remove( alias ).
    COMMIT WORK.
  ENDMETHOD.

  METHOD state.
    DATA: client TYPE ztkw_clients,
          token  TYPE ztkw_tokens.

    client = store->client( alias ).
    token = store->token( alias ).
    state-alias = alias.
    state-destination = client-destination.
    state-generation = token-generation.
    state-valid_till = token-valid_till.
    state-alive = zcl_tkw_life=>is_alive( token = token
                                          now   = zcl_tkw_time=>now( ) ).
    state-early_deaths = token-early_deaths.
    state-failures = token-failures.
    state-retry_at = token-retry_at.
    state-last_code = token-last_code.
    state-made_today = token-made_today.
  ENDMETHOD.

  METHOD demand_change.
    zcl_tkw_authority=>demand( alias    = alias
                               activity = zcl_tkw_authority=>c_change ).
  ENDMETHOD.

  METHOD server.
    server = test_server.
    IF server IS NOT BOUND.
      CREATE OBJECT server TYPE zcl_tkw_server
        EXPORTING
          client = store->client( alias ).
    ENDIF.
  ENDMETHOD.

  METHOD accept.
    CASE answer-outcome.
      WHEN zif_tkw_server=>c_done.
        RETURN.
      WHEN zif_tkw_server=>c_unavailable.
        RAISE EXCEPTION TYPE zcx_tkw_unavailable
          EXPORTING
            msgno = '004'
            arg1  = alias
            arg2  = answer-code
            arg3  = zcl_tkw_time=>shown( zcl_tkw_time=>now( ) ).
      WHEN OTHERS.
        RAISE EXCEPTION TYPE zcx_tkw_refused
          EXPORTING
            msgno = '005'
            arg1  = alias
            arg2  = answer-code
            arg3  = |{ answer-status }|.
    ENDCASE.
  ENDMETHOD.

ENDCLASS.
