"! Whether a stored token may be used. Pure: rows and moments in, a judgement out; no table, no clock.
CLASS zcl_tkw_life DEFINITION PUBLIC FINAL CREATE PRIVATE.

  PUBLIC SECTION.
    CONSTANTS:
      "! A token is renewed this long before its end, in seconds, or a tenth of its life if that is more.
      c_margin TYPE i VALUE 300,
      "! What a call needs to arrive: a token with less left is not handed out.
      c_last   TYPE i VALUE 5.

    "! Whether the server may still accept the token. The row's clock offset makes the comparison the server's.
    CLASS-METHODS is_alive
      IMPORTING
        token        TYPE ztkw_tokens
        now          TYPE ztkw_moment
      RETURNING
        VALUE(alive) TYPE abap_bool.

    "! Whether the token lives and is not due for renewal yet.
    "! @parameter margin | seconds before the end; see margin( )
    CLASS-METHODS is_fresh
      IMPORTING
        token        TYPE ztkw_tokens
        now          TYPE ztkw_moment
        margin       TYPE i
      RETURNING
        VALUE(fresh) TYPE abap_bool.

    "! Seconds before its end at which a token is renewed: as set, or the larger of five minutes and a tenth of its
    "! life, less up to a tenth by chance so that not all renew in the same second; never more than half of its life.
    "! @parameter wanted | as set for the alias, 0 for the default
    "! @parameter chance | 0 to 99
    CLASS-METHODS margin
      IMPORTING
        token         TYPE ztkw_tokens
        wanted        TYPE i
        chance        TYPE i
      RETURNING
        VALUE(margin) TYPE i.

    "! Seconds the token has left by the server's clock.
    CLASS-METHODS seconds_left
      IMPORTING
        token          TYPE ztkw_tokens
        now            TYPE ztkw_moment
      RETURNING
        VALUE(seconds) TYPE i.

  PROTECTED SECTION.
  PRIVATE SECTION.
ENDCLASS.


CLASS zcl_tkw_life IMPLEMENTATION.

  METHOD is_alive.
    IF token-access_token IS INITIAL OR token-serial = token-dead_serial.
      RETURN.
    ENDIF.
    alive = boolc( seconds_left( token = token
                                 now   = now ) > c_last ).
  ENDMETHOD.

  METHOD is_fresh.
    IF is_alive( token = token
                 now   = now ) = abap_false.
      RETURN.
    ENDIF.
    fresh = boolc( seconds_left( token = token
                                 now   = now ) > margin ).
  ENDMETHOD.

  METHOD margin.
    DATA: life TYPE i,
          half TYPE i.

    IF token-valid_till = 0.
      RETURN.
    ENDIF.
    life = zcl_tkw_time=>between( first  = token-obtained_at
                                  second = token-valid_till ).
    margin = wanted.
    IF margin = 0.
      margin = life DIV 10.
      IF margin < c_margin.
        margin = c_margin.
      ENDIF.
    ENDIF.
    half = life DIV 2.
    IF margin > half.
      margin = half.
    ENDIF.
    margin = margin - margin * chance DIV 1000.
  ENDMETHOD.

  METHOD seconds_left.
    IF token-valid_till = 0.
      seconds = zcl_tkw_time=>c_for_ever.
      RETURN.
    ENDIF.
    seconds = zcl_tkw_time=>between( first  = zcl_tkw_time=>add( moment  = now
                                                                 seconds = token-clock_offset )
                                     second = token-valid_till ).
  ENDMETHOD.

ENDCLASS.
