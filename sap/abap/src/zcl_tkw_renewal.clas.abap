"! Renews the token of one alias, once, whoever else wants to: lock, read again, generate with If-Match, store by
"! compare-and-swap. Commits and waits, so it must run in a LUW of its own (function ZTKW_RENEW), never in a caller's.
CLASS zcl_tkw_renewal DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    CONSTANTS:
      "! This session made the token.
      c_made TYPE c LENGTH 1 VALUE 'M',
      "! The token in the table is good: another session made it, or it lives long enough.
      c_kept TYPE c LENGTH 1 VALUE 'K',
      "! No new token, but the current one still lives.
      c_late TYPE c LENGTH 1 VALUE 'L'.

    "! @parameter server | for tests; otherwise the alias's SM59 destination
    METHODS constructor
      IMPORTING
        client TYPE ztkw_clients
        server TYPE REF TO zif_tkw_server OPTIONAL.

    "! @parameter refused_serial | the token that an API refused, by its number in the table; 0 for none
    "! @parameter ahead | renew at one and a half times the margin, so that a job comes before the callers
    "! @parameter force | make a new token even if the current one is good
    METHODS run
      IMPORTING
        refused_serial TYPE ztkw_serial DEFAULT 0
        ahead          TYPE abap_bool DEFAULT abap_false
        force          TYPE abap_bool DEFAULT abap_false
      RETURNING
        VALUE(outcome) TYPE char1
      RAISING
        zcx_tkw.

  PROTECTED SECTION.
  PRIVATE SECTION.
    CONSTANTS:
      "! Seconds to wait for the session that holds the lock: longer than one call of the server may take.
      c_patience TYPE i VALUE 45,
      "! Seconds to wait after a 412 for another session to store what it was given.
      c_settle   TYPE i VALUE 3,
      "! Times a row is written again after another session changed it.
      c_swaps    TYPE i VALUE 3.

    DATA:
      client   TYPE ztkw_clients,
      server   TYPE REF TO zif_tkw_server,
      store    TYPE REF TO zcl_tkw_store,
      lock     TYPE REF TO zcl_tkw_lock,
      chance   TYPE i,
      refused  TYPE ztkw_serial,
      is_ahead TYPE abap_bool,
      forced   TYPE ztkw_serial,
      token    TYPE ztkw_tokens.

    "! The row as the database has it now.
    METHODS look.

    METHODS is_good
      RETURNING
        VALUE(good) TYPE abap_bool.

    METHODS is_usable
      RETURNING
        VALUE(usable) TYPE abap_bool.

    "! With the lock held: makes a token, or says why not.
    METHODS renew
      RETURNING
        VALUE(outcome) TYPE char1
      RAISING
        zcx_tkw.

    METHODS note_refusal
      RAISING
        zcx_tkw.

    "! Asks the server, and after a 412 once more.
    "! @parameter stored | another session of ours stored a good token meanwhile
    METHODS ask
      EXPORTING
        answer TYPE zif_tkw_server=>ty_answer
        stored TYPE abap_bool
      RAISING
        zcx_tkw.

    METHODS keep
      IMPORTING
        answer TYPE zif_tkw_server=>ty_answer
      RAISING
        zcx_tkw.

    METHODS fail
      IMPORTING
        answer TYPE zif_tkw_server=>ty_answer
      RAISING
        zcx_tkw.
ENDCLASS.


CLASS zcl_tkw_renewal IMPLEMENTATION.

  METHOD constructor.
    DATA random TYPE REF TO cl_abap_random_int.

    me->client = client.
    me->server = server.
    IF server IS NOT BOUND.
      CREATE OBJECT me->server TYPE zcl_tkw_server
        EXPORTING
          client = client.
    ENDIF.
    CREATE OBJECT store.
    CREATE OBJECT lock
      EXPORTING
        alias = client-client_alias.
    random = cl_abap_random_int=>create( seed = cl_abap_random=>seed( )
                                         min  = 0
                                         max  = 99 ).
    chance = random->get_next( ).
  ENDMETHOD.

  METHOD run.
    DATA: begun   TYPE ztkw_moment,
          failure TYPE REF TO zcx_tkw.

    refused = refused_serial.
    is_ahead = ahead.
    begun = zcl_tkw_time=>now( ).
    look( ).
    IF force = abap_true.
      forced = token-serial.
    ENDIF.
    DO.
      IF is_good( ) = abap_true.
        outcome = c_kept.
        RETURN.
      ENDIF.
      IF lock->acquire( ) = abap_true.
        TRY.
            outcome = renew( ).
          CATCH zcx_tkw INTO failure.
            lock->release( ).
            IF is_usable( ) = abap_false OR force = abap_true.
              RAISE EXCEPTION failure.
            ENDIF.
            outcome = c_late.
            RETURN.
        ENDTRY.
        lock->release( ).
        RETURN.
      ENDIF.
      " Another session renews. Its result is in the table before it gives the lock back.
      look( ).
      IF is_usable( ) = abap_true.
        outcome = c_kept.
        RETURN.
      ENDIF.
      IF zcl_tkw_time=>between( first  = begun
                                second = zcl_tkw_time=>now( ) ) > c_patience.
        RAISE EXCEPTION TYPE zcx_tkw_unavailable
          EXPORTING
            msgno = '009'
            arg1  = client-client_alias
            arg2  = |{ c_patience }|.
      ENDIF.
      WAIT UP TO 1 SECONDS.
      look( ).
    ENDDO.
  ENDMETHOD.

  METHOD look.
    token = store->token( client-client_alias ).
  ENDMETHOD.

  METHOD is_usable.
    IF ( refused <> 0 AND token-serial = refused ) OR ( forced <> 0 AND token-serial = forced ).
      RETURN.
    ENDIF.
    usable = zcl_tkw_life=>is_alive( token = token
                                     now   = zcl_tkw_time=>now( ) ).
  ENDMETHOD.

  METHOD is_good.
    DATA margin TYPE i.

    IF is_usable( ) = abap_false.
      RETURN.
    ENDIF.
    margin = zcl_tkw_life=>margin( token  = token
                                   wanted = client-margin
                                   chance = chance ).
    IF is_ahead = abap_true.
      margin = margin + margin DIV 2.
    ENDIF.
    good = zcl_tkw_life=>is_fresh( token  = token
                                   now    = zcl_tkw_time=>now( )
                                   margin = margin ).
  ENDMETHOD.

  METHOD renew.
    DATA: answer TYPE zif_tkw_server=>ty_answer,
          stored TYPE abap_bool.

    " Whoever held the lock a moment ago may have done the work.
    look( ).
    IF is_good( ) = abap_true.
      outcome = c_kept.
      RETURN.
    ENDIF.
    note_refusal( ).
    IF forced = 0.
      zcl_tkw_record=>demand_leave( token  = token
                                    now    = zcl_tkw_time=>now( )
                                    budget = client-daily_budget ).
    ENDIF.
    ask(
      IMPORTING
        answer = answer
        stored = stored ).
    IF stored = abap_true.
      outcome = c_kept.
    ELSEIF answer-outcome = zif_tkw_server=>c_done.
      keep( answer ).
      outcome = c_made.
    ELSE.
      fail( answer ).
    ENDIF.
  ENDMETHOD.

  METHOD note_refusal.
    IF refused = 0 OR token-serial <> refused OR token-dead_serial = refused.
      RETURN.
    ENDIF.
    zcl_tkw_record=>refused( EXPORTING now   = zcl_tkw_time=>now( )
                             CHANGING  token = token ).
    store->swap( CHANGING token = token ).
    COMMIT WORK.
  ENDMETHOD.

  METHOD ask.
    DATA seen TYPE ztkw_version.

    CLEAR: answer, stored.
    answer = server->generate( token-generation ).
    IF answer-outcome <> zif_tkw_server=>c_mismatch.
      RETURN.
    ENDIF.
    " Somebody else generated. If it was one of ours, who for a lost lock was not kept out, its token is about to be here.
    seen = token-version.
    DO c_settle TIMES.
      look( ).
      IF token-version <> seen.
        EXIT.
      ENDIF.
      WAIT UP TO 1 SECONDS.
    ENDDO.
    look( ).
    IF is_good( ) = abap_true.
      stored = abap_true.
      RETURN.
    ENDIF.
    IF answer-generation < token-generation.
      " Generations never go back: the destination now stands for another API client.
      store->forget( token ).
      look( ).
    ENDIF.
    answer = server->generate( answer-generation ).
  ENDMETHOD.

  METHOD keep.
    DATA done TYPE abap_bool.

    DO c_swaps TIMES.
      zcl_tkw_record=>made( EXPORTING now    = zcl_tkw_time=>now( )
                                      answer = answer
                            CHANGING  token  = token ).
      store->swap(
        IMPORTING
          done  = done
        CHANGING
          token = token ).
      IF done = abap_true.
        COMMIT WORK.
        RETURN.
      ENDIF.
      look( ).
      IF token-generation > answer-generation.
        " A newer token is stored already: ours is dead.
        RETURN.
      ENDIF.
    ENDDO.
    RAISE EXCEPTION TYPE zcx_tkw_unavailable
      EXPORTING
        msgno = '015'
        arg1  = client-client_alias.
  ENDMETHOD.

  METHOD fail.
    DATA until TYPE string.

    zcl_tkw_record=>failed( EXPORTING now    = zcl_tkw_time=>now( )
                                      answer = answer
                            CHANGING  token  = token ).
    store->swap( CHANGING token = token ).
    COMMIT WORK.
    until = zcl_tkw_time=>shown( token-retry_at ).
    CASE answer-outcome.
      WHEN zif_tkw_server=>c_unavailable OR zif_tkw_server=>c_mismatch.
        RAISE EXCEPTION TYPE zcx_tkw_unavailable
          EXPORTING
            msgno = '004'
            arg1  = client-client_alias
            arg2  = answer-code
            arg3  = until.
      WHEN zif_tkw_server=>c_strange.
        RAISE EXCEPTION TYPE zcx_tkw_refused
          EXPORTING
            msgno = '012'
            arg1  = client-client_alias
            arg2  = answer-code.
      WHEN OTHERS.
        RAISE EXCEPTION TYPE zcx_tkw_refused
          EXPORTING
            msgno = '005'
            arg1  = client-client_alias
            arg2  = answer-code
            arg3  = |{ answer-status }|.
    ENDCASE.
  ENDMETHOD.

ENDCLASS.
