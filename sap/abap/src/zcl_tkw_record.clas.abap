"! What a token's row remembers: refusals, failures with their pauses, the day's count, another holder of the secret. Pure:
"! changes the row it is given and nothing else.
CLASS zcl_tkw_record DEFINITION PUBLIC FINAL CREATE PRIVATE.

  PUBLIC SECTION.
    "! An API refused the token of this row. If it should have lived, somebody ended it; the second time running, that is
    "! another holder of the secret, and renewal stops for a while.
    CLASS-METHODS refused
      IMPORTING
        now   TYPE ztkw_moment
      CHANGING
        token TYPE ztkw_tokens.

    "! The server made a token.
    CLASS-METHODS made
      IMPORTING
        now    TYPE ztkw_moment
        answer TYPE zif_tkw_server=>ty_answer
      CHANGING
        token  TYPE ztkw_tokens.

    "! The server made none: pause, twice as long each time, or as long as it says.
    CLASS-METHODS failed
      IMPORTING
        now    TYPE ztkw_moment
        answer TYPE zif_tkw_server=>ty_answer
      CHANGING
        token  TYPE ztkw_tokens.

    "! Returns if the server may be asked: no pause, budget left.
    "! @parameter budget | tokens a UTC day; 0 for the default
    CLASS-METHODS demand_leave
      IMPORTING
        token  TYPE ztkw_tokens
        now    TYPE ztkw_moment
        budget TYPE i
      RAISING
        zcx_tkw.

  PROTECTED SECTION.
  PRIVATE SECTION.
    CONSTANTS:
      "! Tokens made in a UTC day at most: under Clear's 288 a secret, so that a person can still act.
      c_budget         TYPE i VALUE 200,
      "! Tokens that died early, one after another, from which another holder of the secret is certain.
      c_deaths         TYPE i VALUE 2,
      "! Seconds the first stop lasts when another holder is seen; doubled each time.
      c_stop           TYPE i VALUE 900,
      c_longest_stop   TYPE i VALUE 14400,
      "! Seconds after the first failure that passes by itself; doubled each time.
      c_pause          TYPE i VALUE 2,
      c_longest_pause  TYPE i VALUE 300,
      "! The same for failures that need a person.
      c_refused_pause  TYPE i VALUE 60,
      c_longest_refuse TYPE i VALUE 3600,
      c_other_holder   TYPE ztkw_code VALUE 'ANOTHER_HOLDER'.

    CLASS-METHODS doubled
      IMPORTING
        first          TYPE i
        count          TYPE i
        most           TYPE i
      RETURNING
        VALUE(seconds) TYPE i.
ENDCLASS.


CLASS zcl_tkw_record IMPLEMENTATION.

  METHOD refused.
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
    token-dead_serial = token-serial.
  ENDMETHOD.

  METHOD made.
    DATA today TYPE ztkw_moment.

    today = zcl_tkw_time=>day_of( now ).
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
  ENDMETHOD.

  METHOD failed.
    DATA pause TYPE i.

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
    token-retry_at = zcl_tkw_time=>add( moment  = now
                                        seconds = pause ).
  ENDMETHOD.

  METHOD demand_leave.
    DATA: most  TYPE i,
          today TYPE ztkw_moment,
          until TYPE string.

    IF token-retry_at > now.
      until = zcl_tkw_time=>shown( token-retry_at ).
      IF token-last_code = c_other_holder.
        RAISE EXCEPTION TYPE zcx_tkw_unavailable
          EXPORTING
            msgno = '007'
            arg1  = token-client_alias
            arg2  = until.
      ENDIF.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '006'
          arg1  = token-client_alias
          arg2  = until
          arg3  = token-last_code.
    ENDIF.
    most = budget.
    IF most = 0.
      most = c_budget.
    ENDIF.
    today = zcl_tkw_time=>day_of( now ).
    IF token-made_on = today AND token-made_today >= most.
      RAISE EXCEPTION TYPE zcx_tkw_unavailable
        EXPORTING
          msgno = '008'
          arg1  = token-client_alias
          arg2  = |{ most }|.
    ENDIF.
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
