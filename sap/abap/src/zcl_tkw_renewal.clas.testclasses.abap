"! A token server that answers as told and remembers what it was asked.
CLASS ltcl_server DEFINITION FINAL FOR TESTING.

  PUBLIC SECTION.
    INTERFACES zif_tkw_server.

    TYPES:
      ty_answers TYPE STANDARD TABLE OF zif_tkw_server=>ty_answer WITH NON-UNIQUE KEY outcome,
      ty_asked   TYPE STANDARD TABLE OF ztkw_generation WITH NON-UNIQUE KEY table_line.

    METHODS will_answer
      IMPORTING
        answer TYPE zif_tkw_server=>ty_answer.

    "! The generations it was asked for, in order.
    METHODS was_asked
      RETURNING
        VALUE(generations) TYPE ty_asked.

  PRIVATE SECTION.
    DATA:
      answers TYPE ty_answers,
      asked   TYPE ty_asked.
ENDCLASS.


CLASS ltcl_server IMPLEMENTATION.

  METHOD will_answer.
    INSERT answer INTO TABLE answers.
  ENDMETHOD.

  METHOD was_asked.
    generations = asked.
  ENDMETHOD.

  METHOD zif_tkw_server~generate.
    INSERT generation INTO TABLE asked.
    READ TABLE answers INTO answer INDEX lines( asked ).
    IF sy-subrc <> 0.
      cl_abap_unit_assert=>fail( 'the server was asked too often' ).
    ENDIF.
  ENDMETHOD.

  METHOD zif_tkw_server~status.
    CLEAR answer.
  ENDMETHOD.

  METHOD zif_tkw_server~revoke.
    CLEAR answer.
  ENDMETHOD.

ENDCLASS.


"! Writes rows of an alias of its own and commits them, as renewal does; setup and teardown remove them.
CLASS ltcl_renewal DEFINITION FINAL FOR TESTING RISK LEVEL DANGEROUS DURATION MEDIUM.

  PRIVATE SECTION.
    CONSTANTS c_alias TYPE ztkw_alias VALUE 'ZTKW_UNIT_TEST'.

    DATA:
      store  TYPE REF TO zcl_tkw_store,
      server TYPE REF TO ltcl_server.

    METHODS setup.
    METHODS teardown.
    METHODS first_token_is_made FOR TESTING RAISING cx_static_check.
    METHODS good_token_is_kept FOR TESTING RAISING cx_static_check.
    METHODS job_renews_earlier FOR TESTING RAISING cx_static_check.
    METHODS force_makes_another FOR TESTING RAISING cx_static_check.
    METHODS refused_one_is_replaced_once FOR TESTING RAISING cx_static_check.
    METHODS second_early_death_stops FOR TESTING RAISING cx_static_check.
    METHODS in_time_forgets_early_deaths FOR TESTING RAISING cx_static_check.
    METHODS mismatch_is_asked_once_more FOR TESTING RAISING cx_static_check.
    METHODS lower_generation_is_new_client FOR TESTING RAISING cx_static_check.
    METHODS pause_doubles FOR TESTING RAISING cx_static_check.
    METHODS retry_after_is_honoured FOR TESTING RAISING cx_static_check.
    METHODS living_token_survives_failure FOR TESTING RAISING cx_static_check.
    METHODS budget_of_the_day FOR TESTING RAISING cx_static_check.
    METHODS fast_clock_is_corrected FOR TESTING RAISING cx_static_check.

    METHODS renewal
      RETURNING
        VALUE(renewal) TYPE REF TO zcl_tkw_renewal.

    METHODS row
      RETURNING
        VALUE(token) TYPE ztkw_tokens.

    METHODS put
      IMPORTING
        token TYPE ztkw_tokens.

    "! The server will answer with a token of this generation that lives so many seconds.
    METHODS will_make
      IMPORTING
        generation TYPE i
        life       TYPE i DEFAULT 3600.

    METHODS will_fail
      IMPORTING
        outcome     TYPE clike
        code        TYPE clike
        generation  TYPE i DEFAULT 0
        retry_after TYPE i DEFAULT 0.

    METHODS expect_failure
      IMPORTING
        msgno          TYPE symsgno
        refused_serial TYPE i DEFAULT 0.

    METHODS expect_pause
      IMPORTING
        seconds TYPE i.

    METHODS expect_asked
      IMPORTING
        times TYPE i.

    "! Lets the pause of the row end.
    METHODS let_pause_end.

    "! Makes the pause longer than the test can take.
    METHODS lengthen_pause.
ENDCLASS.


CLASS ltcl_renewal IMPLEMENTATION.

  METHOD setup.
    CREATE OBJECT store.
    CREATE OBJECT server.
    store->remove( c_alias ).
    COMMIT WORK.
  ENDMETHOD.

  METHOD teardown.
    store->remove( c_alias ).
    COMMIT WORK.
  ENDMETHOD.

  METHOD renewal.
    DATA client TYPE ztkw_clients.

    client-client_alias = c_alias.
    client-daily_budget = 5.
    CREATE OBJECT renewal
      EXPORTING
        client = client
        server = server.
  ENDMETHOD.

  METHOD row.
    token = store->token( c_alias ).
  ENDMETHOD.

  METHOD put.
    DATA: changed TYPE ztkw_tokens,
          done    TYPE abap_bool.

    changed = token.
    store->swap(
      IMPORTING
        done  = done
      CHANGING
        token = changed ).
    cl_abap_unit_assert=>assert_true( done ).
  ENDMETHOD.

  METHOD will_make.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer-outcome = zif_tkw_server=>c_done.
    answer-status = 200.
    answer-access_token = |1.unit-test-token-{ generation }|.
    answer-generation = generation.
    answer-server_time = zcl_tkw_time=>now( ).
    answer-valid_till = zcl_tkw_time=>add( moment  = answer-server_time
                                           seconds = life ).
    server->will_answer( answer ).
  ENDMETHOD.

  METHOD will_fail.
    DATA answer TYPE zif_tkw_server=>ty_answer.

    answer-outcome = outcome.
    answer-code = code.
    answer-generation = generation.
    answer-retry_after = retry_after.
    server->will_answer( answer ).
  ENDMETHOD.

  METHOD expect_failure.
    DATA: serial  TYPE ztkw_serial,
          failure TYPE REF TO zcx_tkw.

    serial = refused_serial.
    TRY.
        renewal( )->run( refused_serial = serial ).
        cl_abap_unit_assert=>fail( |message { msgno } was expected| ).
      CATCH zcx_tkw INTO failure.
        cl_abap_unit_assert=>assert_equals( act = failure->if_t100_message~t100key-msgno
                                            exp = msgno ).
    ENDTRY.
  ENDMETHOD.

  METHOD expect_pause.
    DATA: token TYPE ztkw_tokens,
          least TYPE i,
          left  TYPE i.

    least = seconds - 2 - seconds DIV 10.
    token = row( ).
    left = zcl_tkw_time=>between( first  = zcl_tkw_time=>now( )
                                  second = token-retry_at ).
    " The seconds that the test itself took are not part of the pause.
    IF left NOT BETWEEN least AND seconds.
      cl_abap_unit_assert=>fail( |pause of { left }, expected { seconds }| ).
    ENDIF.
  ENDMETHOD.

  METHOD expect_asked.
    cl_abap_unit_assert=>assert_equals( act = lines( server->was_asked( ) )
                                        exp = times ).
  ENDMETHOD.

  METHOD let_pause_end.
    DATA token TYPE ztkw_tokens.

    token = row( ).
    token-retry_at = 0.
    put( token ).
  ENDMETHOD.

  METHOD lengthen_pause.
    DATA token TYPE ztkw_tokens.

    token = row( ).
    token-retry_at = zcl_tkw_time=>add( moment  = token-retry_at
                                        seconds = 3600 ).
    put( token ).
  ENDMETHOD.

  METHOD first_token_is_made.
    DATA: token TYPE ztkw_tokens,
          all   TYPE ltcl_server=>ty_asked,
          asked TYPE ztkw_generation.

    will_make( 1 ).
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( )
                                        exp = zcl_tkw_renewal=>c_made ).
    all = server->was_asked( ).
    READ TABLE all INTO asked INDEX 1.
    cl_abap_unit_assert=>assert_equals( act = sy-subrc
                                        exp = 0 ).
    cl_abap_unit_assert=>assert_equals( act = asked
                                        exp = 0
                                        msg = 'If-Match 0: only if there was never a token' ).
    token = row( ).
    cl_abap_unit_assert=>assert_equals( act = token-access_token
                                        exp = `1.unit-test-token-1` ).
    cl_abap_unit_assert=>assert_equals( act = token-serial
                                        exp = 1 ).
    cl_abap_unit_assert=>assert_equals( act = token-made_today
                                        exp = 1 ).
  ENDMETHOD.

  METHOD good_token_is_kept.
    will_make( 1 ).
    renewal( )->run( ).
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( )
                                        exp = zcl_tkw_renewal=>c_kept ).
    expect_asked( 1 ).
  ENDMETHOD.

  METHOD job_renews_earlier.
    DATA token TYPE ztkw_tokens.

    will_make( 1 ).
    renewal( )->run( ).
    " 400 of 3600 seconds left: inside one and a half times the margin of 360, outside the margin.
    token = row( ).
    token-obtained_at = zcl_tkw_time=>add( moment  = token-obtained_at
                                           seconds = -3200 ).
    token-valid_till = zcl_tkw_time=>add( moment  = token-valid_till
                                          seconds = -3200 ).
    put( token ).
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( )
                                        exp = zcl_tkw_renewal=>c_kept ).
    will_make( 2 ).
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( ahead = abap_true )
                                        exp = zcl_tkw_renewal=>c_made ).
  ENDMETHOD.

  METHOD force_makes_another.
    DATA token TYPE ztkw_tokens.

    will_make( 1 ).
    will_make( 2 ).
    renewal( )->run( ).
    renewal( )->run( force = abap_true ).
    token = row( ).
    cl_abap_unit_assert=>assert_equals( act = token-generation
                                        exp = 2 ).
    cl_abap_unit_assert=>assert_initial( token-early_deaths ).
  ENDMETHOD.

  METHOD refused_one_is_replaced_once.
    will_make( 1 ).
    will_make( 2 ).
    renewal( )->run( ).
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( refused_serial = 1 )
                                        exp = zcl_tkw_renewal=>c_made ).
    " A late refusal of the same token does not end the one that another session fetched.
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( refused_serial = 1 )
                                        exp = zcl_tkw_renewal=>c_kept ).
    expect_asked( 2 ).
  ENDMETHOD.

  METHOD second_early_death_stops.
    will_make( 1 ).
    will_make( 2 ).
    renewal( )->run( ).
    renewal( )->run( refused_serial = 1 ).
    expect_failure( msgno          = '007'
                    refused_serial = 2 ).
    expect_pause( 900 ).
    " Told again, it is the same death.
    expect_failure( msgno          = '007'
                    refused_serial = 2 ).
    expect_asked( 2 ).
    will_make( 3 ).
    let_pause_end( ).
    renewal( )->run( refused_serial = 2 ).
    expect_failure( msgno          = '007'
                    refused_serial = 3 ).
    expect_pause( 1800 ).
  ENDMETHOD.

  METHOD in_time_forgets_early_deaths.
    DATA token TYPE ztkw_tokens.

    will_make( 1 ).
    will_make( 2 ).
    will_make( 3 ).
    renewal( )->run( ).
    renewal( )->run( refused_serial = 1 ).
    token = row( ).
    cl_abap_unit_assert=>assert_equals( act = token-early_deaths
                                        exp = 1 ).
    token-valid_till = zcl_tkw_time=>now( ).
    put( token ).
    renewal( )->run( ).
    token = row( ).
    cl_abap_unit_assert=>assert_initial( token-early_deaths ).
  ENDMETHOD.

  METHOD mismatch_is_asked_once_more.
    DATA: all   TYPE ltcl_server=>ty_asked,
          asked TYPE ztkw_generation.

    will_fail( outcome    = zif_tkw_server=>c_mismatch
               code       = 'GENERATION_MISMATCH'
               generation = 7 ).
    will_make( 8 ).
    renewal( )->run( ).
    all = server->was_asked( ).
    READ TABLE all INTO asked INDEX 2.
    cl_abap_unit_assert=>assert_equals( act = sy-subrc
                                        exp = 0 ).
    cl_abap_unit_assert=>assert_equals( act = asked
                                        exp = 7 ).
    will_fail( outcome    = zif_tkw_server=>c_mismatch
               code       = 'GENERATION_MISMATCH'
               generation = 9 ).
    will_fail( outcome    = zif_tkw_server=>c_mismatch
               code       = 'GENERATION_MISMATCH'
               generation = 10 ).
    expect_failure( msgno          = '004'
                    refused_serial = 1 ).
  ENDMETHOD.

  METHOD lower_generation_is_new_client.
    DATA token TYPE ztkw_tokens.

    will_make( 9 ).
    renewal( )->run( ).
    will_fail( outcome    = zif_tkw_server=>c_mismatch
               code       = 'GENERATION_MISMATCH'
               generation = 0 ).
    will_make( 1 ).
    renewal( )->run( force = abap_true ).
    token = row( ).
    cl_abap_unit_assert=>assert_equals( act = token-generation
                                        exp = 1 ).
  ENDMETHOD.

  METHOD pause_doubles.
    will_fail( outcome = zif_tkw_server=>c_unavailable
               code    = 'NO_ANSWER' ).
    expect_failure( '004' ).
    expect_pause( 2 ).
    lengthen_pause( ).
    expect_failure( '006' ).
    expect_asked( 1 ).
    let_pause_end( ).
    will_fail( outcome = zif_tkw_server=>c_unavailable
               code    = 'NO_ANSWER' ).
    expect_failure( '004' ).
    expect_pause( 4 ).
    let_pause_end( ).
    will_fail( outcome = zif_tkw_server=>c_refused
               code    = 'CLIENT_SECRET_INVALID' ).
    expect_failure( '005' ).
    expect_pause( 240 ).
  ENDMETHOD.

  METHOD retry_after_is_honoured.
    will_fail( outcome     = zif_tkw_server=>c_unavailable
               code        = 'QUOTA_EXCEEDED'
               retry_after = 7000 ).
    expect_failure( '004' ).
    expect_pause( 7000 ).
  ENDMETHOD.

  METHOD living_token_survives_failure.
    DATA token TYPE ztkw_tokens.

    will_make( 1 ).
    renewal( )->run( ).
    token = row( ).
    token-obtained_at = zcl_tkw_time=>add( moment  = token-obtained_at
                                           seconds = -36000 ).
    token-valid_till = zcl_tkw_time=>add( moment  = token-valid_till
                                          seconds = -3000 ).
    put( token ).
    will_fail( outcome = zif_tkw_server=>c_unavailable
               code    = 'NO_ANSWER' ).
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( )
                                        exp = zcl_tkw_renewal=>c_late ).
    token = row( ).
    cl_abap_unit_assert=>assert_equals( act = token-access_token
                                        exp = `1.unit-test-token-1` ).
  ENDMETHOD.

  METHOD budget_of_the_day.
    DATA token TYPE ztkw_tokens.

    will_make( 1 ).
    renewal( )->run( ).
    token = row( ).
    token-made_today = 5.
    token-valid_till = zcl_tkw_time=>now( ).
    put( token ).
    expect_failure( '008' ).
    expect_asked( 1 ).
    " Yesterday's do not count.
    token = row( ).
    token-made_on = zcl_tkw_time=>add( moment  = token-made_on
                                       seconds = -86400 ).
    put( token ).
    will_make( 2 ).
    renewal( )->run( ).
    token = row( ).
    cl_abap_unit_assert=>assert_equals( act = token-made_today
                                        exp = 1 ).
  ENDMETHOD.

  METHOD fast_clock_is_corrected.
    DATA: answer TYPE zif_tkw_server=>ty_answer,
          token  TYPE ztkw_tokens.

    " The server's clock is an hour behind ours: by ours the token is dead on arrival.
    answer-outcome = zif_tkw_server=>c_done.
    answer-access_token = `1.unit-test-token-1`.
    answer-generation = 1.
    answer-server_time = zcl_tkw_time=>add( moment  = zcl_tkw_time=>now( )
                                            seconds = -3600 ).
    answer-valid_till = zcl_tkw_time=>add( moment  = answer-server_time
                                           seconds = 1800 ).
    server->will_answer( answer ).
    renewal( )->run( ).
    token = row( ).
    IF token-clock_offset NOT BETWEEN -3602 AND -3598.
      cl_abap_unit_assert=>fail( |clock offset { token-clock_offset }| ).
    ENDIF.
    cl_abap_unit_assert=>assert_equals( act = renewal( )->run( )
                                        exp = zcl_tkw_renewal=>c_kept ).
  ENDMETHOD.

ENDCLASS.
