"! Moments as the tables keep them: UTC, YYYYMMDDhhmmss, 0 for none. The only reader of the clock.
"! Knows no token.
CLASS zcl_tkw_time DEFINITION PUBLIC FINAL CREATE PRIVATE.

  PUBLIC SECTION.
    "! More seconds than any token lives: the largest four-byte number.
    CONSTANTS c_for_ever TYPE i VALUE 2147483647.

    "! This application server's clock.
    CLASS-METHODS now
      RETURNING
        VALUE(moment) TYPE ztkw_moment.

    "! The moment so many seconds later, or earlier.
    CLASS-METHODS add
      IMPORTING
        moment     TYPE ztkw_moment
        seconds    TYPE i
      RETURNING
        VALUE(sum) TYPE ztkw_moment.

    "! Seconds from one moment to another, negative when it lies before; at most c_for_ever.
    CLASS-METHODS between
      IMPORTING
        first          TYPE ztkw_moment
        second         TYPE ztkw_moment
      RETURNING
        VALUE(seconds) TYPE i.

    "! Midnight UTC before the moment.
    CLASS-METHODS day_of
      IMPORTING
        moment     TYPE ztkw_moment
      RETURNING
        VALUE(day) TYPE ztkw_moment.

    "! Reads 2026-11-23T10:15:30+00:00 (also with Z, with another offset, with a fraction); 0 when it is none.
    CLASS-METHODS from_iso
      IMPORTING
        text          TYPE string
      RETURNING
        VALUE(moment) TYPE ztkw_moment.

    "! Reads the header Date (RFC 9110: Mon, 23 Nov 2026 10:15:30 GMT); 0 when it is none.
    CLASS-METHODS from_http_date
      IMPORTING
        text          TYPE string
      RETURNING
        VALUE(moment) TYPE ztkw_moment.

    "! 2026-11-23 10:15:30, for people.
    CLASS-METHODS shown
      IMPORTING
        moment      TYPE ztkw_moment
      RETURNING
        VALUE(text) TYPE string.

  PROTECTED SECTION.
  PRIVATE SECTION.
    TYPES:
      ty_seconds TYPE p LENGTH 8 DECIMALS 0,
      ty_digits  TYPE n LENGTH 14.

    CONSTANTS:
      c_epoch       TYPE d VALUE '19700101',
      c_day_seconds TYPE i VALUE 86400.

    CLASS-METHODS to_seconds
      IMPORTING
        moment         TYPE ztkw_moment
      RETURNING
        VALUE(seconds) TYPE ty_seconds.

    CLASS-METHODS from_seconds
      IMPORTING
        seconds       TYPE ty_seconds
      RETURNING
        VALUE(moment) TYPE ztkw_moment.

    CLASS-METHODS from_digits
      IMPORTING
        digits        TYPE ty_digits
      RETURNING
        VALUE(moment) TYPE ztkw_moment.
ENDCLASS.


CLASS zcl_tkw_time IMPLEMENTATION.

  METHOD now.
    GET TIME STAMP FIELD moment.
  ENDMETHOD.

  METHOD add.
    DATA total TYPE ty_seconds.

    total = to_seconds( moment ) + seconds.
    sum = from_seconds( total ).
  ENDMETHOD.

  METHOD between.
    DATA difference TYPE ty_seconds.

    difference = to_seconds( second ) - to_seconds( first ).
    IF difference > c_for_ever.
      difference = c_for_ever.
    ENDIF.
    seconds = difference.
  ENDMETHOD.

  METHOD day_of.
    DATA digits TYPE ty_digits.

    digits = moment.
    digits+8(6) = '000000'.
    day = digits.
  ENDMETHOD.

  METHOD from_iso.
    DATA: year     TYPE string,
          month    TYPE string,
          day      TYPE string,
          hour     TYPE string,
          minute   TYPE string,
          second   TYPE string,
          fraction TYPE string,
          zone     TYPE string,
          sign     TYPE string,
          zone_h   TYPE string,
          zone_m   TYPE string,
          digits   TYPE ty_digits,
          offset   TYPE i.

    FIND REGEX '^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|([+-])(\d\d):(\d\d))$' IN text
      SUBMATCHES year month day hour minute second fraction zone sign zone_h zone_m.
    IF sy-subrc <> 0.
      RETURN.
    ENDIF.
    CONCATENATE year month day hour minute second INTO digits.
    moment = from_digits( digits ).
    IF moment = 0 OR zone = 'Z'.
      RETURN.
    ENDIF.
    offset = zone_h * 3600 + zone_m * 60.
    IF sign = '+'.
      offset = - offset.
    ENDIF.
    moment = add( moment  = moment
                  seconds = offset ).
  ENDMETHOD.

  METHOD from_http_date.
    CONSTANTS months TYPE string VALUE 'JanFebMarAprMayJunJulAugSepOctNovDec'.
    DATA: year   TYPE string,
          name   TYPE string,
          day    TYPE string,
          hour   TYPE string,
          minute TYPE string,
          second TYPE string,
          place  TYPE i,
          month  TYPE n LENGTH 2,
          digits TYPE ty_digits.

    FIND REGEX '^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$' IN text
      SUBMATCHES day name year hour minute second.
    IF sy-subrc <> 0.
      RETURN.
    ENDIF.
    FIND FIRST OCCURRENCE OF name IN months MATCH OFFSET place.
    IF sy-subrc <> 0 OR place MOD 3 <> 0.
      RETURN.
    ENDIF.
    month = place DIV 3 + 1.
    CONCATENATE year month day hour minute second INTO digits.
    moment = from_digits( digits ).
  ENDMETHOD.

  METHOD shown.
    DATA digits TYPE ty_digits.

    digits = moment.
    text = |{ digits(4) }-{ digits+4(2) }-{ digits+6(2) } | &&
           |{ digits+8(2) }:{ digits+10(2) }:{ digits+12(2) }|.
  ENDMETHOD.

  METHOD to_seconds.
    DATA: digits  TYPE ty_digits,
          day     TYPE d,
          days    TYPE i,
          hours   TYPE i,
          minutes TYPE i,
          rest    TYPE i.

    digits = moment.
    day = digits(8).
    days = day - c_epoch.
    hours = digits+8(2).
    minutes = digits+10(2).
    rest = digits+12(2).
    seconds = days.
    seconds = seconds * c_day_seconds + hours * 3600 + minutes * 60 + rest.
  ENDMETHOD.

  METHOD from_seconds.
    DATA: day    TYPE d,
          days   TYPE i,
          rest   TYPE i,
          hour   TYPE n LENGTH 2,
          minute TYPE n LENGTH 2,
          second TYPE n LENGTH 2,
          digits TYPE ty_digits.

    days = seconds DIV c_day_seconds.
    rest = seconds MOD c_day_seconds.
    day = c_epoch + days.
    hour = rest DIV 3600.
    minute = rest MOD 3600 DIV 60.
    second = rest MOD 60.
    CONCATENATE day hour minute second INTO digits.
    moment = digits.
  ENDMETHOD.

  METHOD from_digits.
    DATA candidate TYPE ztkw_moment.

    " A date or time that does not exist comes back as another one.
    candidate = digits.
    IF digits(4) >= '1970' AND from_seconds( to_seconds( candidate ) ) = candidate.
      moment = candidate.
    ENDIF.
  ENDMETHOD.

ENDCLASS.
