"! The three tables, and nothing else writes or reads them. A token row is written by compare-and-swap on its version, so that
"! a slower session never overwrites what a faster one stored. Never commits: whoever owns the LUW does.
CLASS zcl_tkw_store DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    TYPES ty_clients TYPE STANDARD TABLE OF ztkw_clients WITH NON-UNIQUE KEY client_alias.

    "! The set-up of an alias.
    "! @raising zcx_tkw_refused | no such alias, or set up in the system this one was copied from
    METHODS client
      IMPORTING
        name          TYPE ztkw_alias
      RETURNING
        VALUE(client) TYPE ztkw_clients
      RAISING
        zcx_tkw_refused.

    "! All aliases of this SAP client that belong to this system.
    METHODS clients
      RETURNING
        VALUE(clients) TYPE ty_clients.

    "! Writes the set-up of an alias, as of this system.
    METHODS save_client
      IMPORTING
        client TYPE ztkw_clients.

    "! Removes an alias with its secret and its token.
    METHODS remove
      IMPORTING
        name TYPE ztkw_alias.

    "! Writes the client secret of an alias.
    METHODS save_secret
      IMPORTING
        name   TYPE ztkw_alias
        secret TYPE ztkw_secret.

    "! The client secret kept in the table; empty when there is none.
    METHODS secret
      IMPORTING
        name          TYPE ztkw_alias
      RETURNING
        VALUE(secret) TYPE ztkw_secret.

    "! The row of an alias as the database has it now; version 0 when there is none yet.
    METHODS token
      IMPORTING
        name         TYPE ztkw_alias
      RETURNING
        VALUE(token) TYPE ztkw_tokens.

    "! Writes the row if its version is still the one that was read and no higher generation is there.
    "! @parameter token | as read and changed; has the new version afterwards
    "! @parameter done | abap_false: another session wrote it meanwhile
    METHODS swap
      EXPORTING
        done  TYPE abap_bool
      CHANGING
        token TYPE ztkw_tokens.

    "! Forgets a token that belongs to another API client than the one the destination now stands for.
    METHODS forget
      IMPORTING
        token TYPE ztkw_tokens.

  PROTECTED SECTION.
  PRIVATE SECTION.
ENDCLASS.


CLASS zcl_tkw_store IMPLEMENTATION.

  METHOD client.
    SELECT SINGLE * FROM ztkw_clients INTO client WHERE client_alias = name.
    IF sy-subrc <> 0.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '002'
          arg1  = name.
    ENDIF.
    IF client-system_id <> sy-sysid.
      " A copied system has the original's rows: with them it would call the original's APIs and end its token.
      RAISE EXCEPTION TYPE zcx_tkw_refused
        EXPORTING
          msgno = '003'
          arg1  = name
          arg2  = client-system_id.
    ENDIF.
  ENDMETHOD.

  METHOD clients.
    SELECT * FROM ztkw_clients INTO TABLE clients WHERE system_id = sy-sysid ORDER BY PRIMARY KEY ##SUBRC_OK.
  ENDMETHOD.

  METHOD save_client.
    DATA row TYPE ztkw_clients.

    row = client.
    row-mandt = sy-mandt.
    row-system_id = sy-sysid.
    UPDATE ztkw_clients FROM row.
    IF sy-subrc <> 0.
      INSERT ztkw_clients FROM row.
      ASSERT sy-subrc = 0.
    ENDIF.
  ENDMETHOD.

  METHOD remove.
    " What was never there is removed as well.
    DELETE FROM ztkw_tokens WHERE client_alias = name ##SUBRC_OK.
    DELETE FROM ztkw_secrets WHERE client_alias = name ##SUBRC_OK.
    DELETE FROM ztkw_clients WHERE client_alias = name ##SUBRC_OK.
  ENDMETHOD.

  METHOD save_secret.
    DATA row TYPE ztkw_secrets.

    row-mandt = sy-mandt.
    row-client_alias = name.
    row-client_secret = secret.
    UPDATE ztkw_secrets FROM row.
    IF sy-subrc <> 0.
      INSERT ztkw_secrets FROM row.
      ASSERT sy-subrc = 0.
    ENDIF.
  ENDMETHOD.

  METHOD secret.
    SELECT SINGLE client_secret FROM ztkw_secrets INTO secret WHERE client_alias = name.
    IF sy-subrc <> 0.
      CLEAR secret.
    ENDIF.
  ENDMETHOD.

  METHOD token.
    SELECT SINGLE * FROM ztkw_tokens INTO token WHERE client_alias = name.
    IF sy-subrc <> 0.
      CLEAR token.
      token-mandt = sy-mandt.
      token-client_alias = name.
    ENDIF.
  ENDMETHOD.

  METHOD swap.
    DATA next TYPE ztkw_tokens.

    next = token.
    next-mandt = sy-mandt.
    next-version = token-version + 1.
    IF token-version = 0.
      INSERT ztkw_tokens FROM next ##SUBRC_OK.
    ELSE.
      UPDATE ztkw_tokens
        SET version      = next-version
            serial       = next-serial
            dead_serial  = next-dead_serial
            generation   = next-generation
            obtained_at  = next-obtained_at
            valid_till   = next-valid_till
            clock_offset = next-clock_offset
            early_deaths = next-early_deaths
            failures     = next-failures
            retry_at     = next-retry_at
            last_code    = next-last_code
            made_on      = next-made_on
            made_today   = next-made_today
            access_token = next-access_token
        WHERE client_alias = next-client_alias
          AND version = token-version
          AND generation <= next-generation ##SUBRC_OK.
    ENDIF.
    done = boolc( sy-subrc = 0 ).
    IF done = abap_true.
      token = next.
    ENDIF.
  ENDMETHOD.

  METHOD forget.
    " Another session may have written it meanwhile; then it is no longer this token.
    DELETE FROM ztkw_tokens WHERE client_alias = token-client_alias AND version = token-version ##SUBRC_OK.
  ENDMETHOD.

ENDCLASS.
