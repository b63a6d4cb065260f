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
      c_patience       TYPE i VALUE 45,
      "! Seconds to wait after a 412 for another session to store what it was given.
      c_settle         TYPE i VALUE 3,
      "! Tokens made in a UTC day at most: under Clear's 288 a secret, so that a person can still act.
      c_budget         TYPE i VALUE 200,
      "! Tokens that died early, one after another, from which another holder of the secret is certain.
      c_deaths         TYPE i VALUE 2,
      "! Seconds the first stop lasts when another holder is seen; doubled each time.
      c_stop           TYPE i VALUE 900,
      c_longest_stop   TYPE i VALUE 14400,
      "! Seconds after the first failure; doubled each time. Longest for faults that pass, and for those that need a person.
      c_pause          TYPE i VALUE 2,
      c_longest_pause  TYPE i VALUE 300,
      c_refused_pause  TYPE i VALUE 60,
      c_longest_refuse TYPE i VALUE 3600,
      "! Times a row is written again after another session changed it.
      c_swaps          TYPE i VALUE 3,
      c_other_holder   TYPE ztkw_code VALUE 'ANOTHER_HOLDER'.

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

    METHODS check_limits
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

    METHODS doubled
      IMPORTING
        first          TYPE i
        count          TYPE i
        most           TYPE i
      RETURNING
        VALUE(seconds) TYPE i.

    "! The failure that the row remembers, as an exception.
    METHODS held_back
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
        alias = client-alias.
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
            arg1  = client-alias
            arg2  = |{ c_patience }|.
      ENDIF.
      WAIT UP TO 1 SECONDS.
      look( ).
    ENDDO.
  ENDMETHOD.

  METHOD look.
    token = store->token( client-alias ).
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
    check_limits( ).
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
    DATA now TYPE ztkw_moment.

    IF refused = 0 OR token-serial <> refused OR token-dead_serial = refused.
      RETURN.
    ENDIF.
    now = zcl_tkw_time=>now( ).
    IF zcl_tkw_life=>is_alive( token = token
                               now   = now ) = abap_true.
      token-early_deaths = token-early_deaths + 1.
      IF token-early_deaths >= c_deaths.
        token-last_code = c_other_holder.
        token-retry_at = zcl_tkw_time=>add(
          moment  = now
          seconds = doubled( first = c_stop
                             count = token-early_deaths - c_deaths
                             most  = c_longest_stop ) ).
      ENDIF.
    ENDIF.
    token-dead_serial = refused.
    store->swap( CHANGING token = token ).
    COMMIT WORK.
  ENDMETHOD.

  METHOD check_limits.
    DATA: now    TYPE ztkw_moment,
          today  TYPE ztkw_moment,
          budget TYPE i.

    IF forced <> 0.
      RETURN.
    ENDIF.
    now = zcl_tkw_time=>now( ).
    IF token-retry_at > now.
      held_back( ).
    ENDIF.
    budget = client-daily_budget.
    IF budget = 0.
      budget = c_budget.
    ENDIF.
    today = zcl_tkw_time=>day_of( now ).
    IF token-made_on = today AND token-made_today >= budget.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '008'
          arg1  = client-alias
          arg2  = |{ budget }|.
    ENDIF.
  ENDMETHOD.

  METHOD held_back.
    DATA until TYPE string.

    until = zcl_tkw_time=>shown( token-retry_at ).
    IF token-last_code = c_other_holder.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '007'
          arg1  = client-alias
          arg2  = until.
    ENDIF.
    RAISE EXCEPTION TYPE zcx_tkw_unavailable
      EXPORTING
        msgno = '006'
        arg1  = client-alias
        arg2  = until
        arg3  = token-last_code.
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
    DATA: now   TYPE ztkw_moment,
          today TYPE ztkw_moment,
          done  TYPE abap_bool.

    now = zcl_tkw_time=>now( ).
    today = zcl_tkw_time=>day_of( now ).
    DO c_swaps TIMES.
      IF token-dead_serial <> token-serial.
        " It was renewed in its time, so nobody else had ended it.
        token-early_deaths = 0.
      ENDIF.
      IF token-made_on <> today.
        token-made_on = today.
        token-made_today = 0.
      ENDIF.
      token-made_today = token-made_today + 1.
      token-serial = token-serial + 1.
      token-dead_serial = 0.
      token-access_token = answer-access_token.
      token-generation = answer-generation.
      token-valid_till = answer-valid_till.
      token-clock_offset = 0.
      IF answer-server_time <> 0.
        token-clock_offset = zcl_tkw_time=>between( first  = now
                                                    second = answer-server_time ).
      ENDIF.
      token-obtained_at = zcl_tkw_time=>add( moment  = now
                                             seconds = token-clock_offset ).
      token-failures = 0.
      token-retry_at = 0.
      CLEAR token-last_code.
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
        arg1  = client-alias.
  ENDMETHOD.

  METHOD fail.
    DATA: pause TYPE i,
          until TYPE string.

    IF answer-outcome = zif_tkw_server=>c_unavailable OR answer-outcome = zif_tkw_server=>c_mismatch.
      pause = doubled( first = c_pause
                       count = token-failures
                       most  = c_longest_pause ).
      IF pause < answer-retry_after.
        pause = answer-retry_after.
      ENDIF.
    ELSE.
      pause = doubled( first = c_refused_pause
                       count = token-failures
                       most  = c_longest_refuse ).
    ENDIF.
    token-failures = token-failures + 1.
    token-last_code = answer-code.
    token-retry_at = zcl_tkw_time=>add( moment  = zcl_tkw_time=>now( )
                                        seconds = pause ).
    store->swap( CHANGING token = token ).
    COMMIT WORK.
    until = zcl_tkw_time=>shown( token-retry_at ).
    CASE answer-outcome.
      WHEN zif_tkw_server=>c_unavailable OR zif_tkw_server=>c_mismatch.
        RAISE EXCEPTION TYPE zcx_tkw_unavailable
          EXPORTING
            msgno = '004'
            arg1  = client-alias
            arg2  = answer-code
            arg3  = until.
      WHEN zif_tkw_server=>c_strange.
        RAISE EXCEPTION TYPE zcx_tkw_refused
          EXPORTING
            msgno = '012'
            arg1  = client-alias
            arg2  = answer-code.
      WHEN OTHERS.
        RAISE EXCEPTION TYPE zcx_tkw_refused
          EXPORTING
            msgno = '005'
            arg1  = client-alias
            arg2  = answer-code
            arg3  = |{ answer-status }|.
    ENDCASE.
  ENDMETHOD.

  METHOD doubled.
    seconds = first.
    DO count TIMES.
      seconds = seconds * 2.
      IF seconds >= most.
        seconds = most.
        RETURN.
      ENDIF.
    ENDDO.
  ENDMETHOD.

ENDCLASS.
