"! Reads a small JSON document into values by path, such as /errors/1/error_code (elements count from 1).
"! Strict: what RFC 8259 does not allow, a name given twice, and anything past the limits has no values at
"! all. Old releases have no reader that is always there, hence this one.
CLASS zcl_tkw_json DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    CONSTANTS:
      "! Longest document, in characters: a token server's answers have a few hundred.
      c_longest TYPE i VALUE 65536,
      "! Deepest nesting: an error is in an array in an object.
      c_deepest TYPE i VALUE 8.

    "! Reads the document; what it could not read has no values.
    METHODS constructor
      IMPORTING
        document TYPE string.

    "! Whether the document was read to its end.
    METHODS is_valid
      RETURNING
        VALUE(valid) TYPE abap_bool.

    "! The text of a string, number, true or false; empty for null and for what is not there.
    METHODS text
      IMPORTING
        path        TYPE string
      RETURNING
        VALUE(text) TYPE string.

    "! Whether the document says anything, null included, at this path.
    METHODS has
      IMPORTING
        path         TYPE string
      RETURNING
        VALUE(there) TYPE abap_bool.

  PROTECTED SECTION.
  PRIVATE SECTION.
    TYPES:
      BEGIN OF ty_value,
        path TYPE string,
        text TYPE string,
      END OF ty_value,
      ty_values TYPE SORTED TABLE OF ty_value WITH UNIQUE KEY path.

    DATA:
      document TYPE string,
      length   TYPE i,
      position TYPE i,
      valid    TYPE abap_bool,
      values   TYPE ty_values.

    METHODS read_value
      IMPORTING
        path  TYPE string
        depth TYPE i.

    METHODS read_object
      IMPORTING
        path  TYPE string
        depth TYPE i.

    METHODS read_array
      IMPORTING
        path  TYPE string
        depth TYPE i.

    METHODS read_string
      RETURNING
        VALUE(text) TYPE string.

    METHODS read_escape
      RETURNING
        VALUE(text) TYPE string.

    METHODS read_plain
      IMPORTING
        path TYPE string.

    METHODS keep
      IMPORTING
        path TYPE string
        text TYPE string.

    METHODS skip_space.

    METHODS peek
      RETURNING
        VALUE(mark) TYPE string.

    "! Steps over this one character, or finds the document malformed.
    METHODS expect
      IMPORTING
        mark TYPE string.
ENDCLASS.


CLASS zcl_tkw_json IMPLEMENTATION.

  METHOD constructor.
    me->document = document.
    length = strlen( document ).
    IF length > c_longest.
      RETURN.
    ENDIF.
    valid = abap_true.
    read_value( path  = ``
                depth = 1 ).
    skip_space( ).
    IF position < length.
      valid = abap_false.
    ENDIF.
    IF valid = abap_false.
      CLEAR values.
    ENDIF.
    CLEAR me->document.
  ENDMETHOD.

  METHOD is_valid.
    valid = me->valid.
  ENDMETHOD.

  METHOD text.
    FIELD-SYMBOLS <value> TYPE ty_value.

    READ TABLE values ASSIGNING <value> WITH TABLE KEY path = path.
    IF sy-subrc = 0.
      text = <value>-text.
    ENDIF.
  ENDMETHOD.

  METHOD has.
    READ TABLE values TRANSPORTING NO FIELDS WITH TABLE KEY path = path.
    there = boolc( sy-subrc = 0 ).
  ENDMETHOD.

  METHOD read_value.
    skip_space( ).
    CASE peek( ).
      WHEN `{`.
        read_object( path  = path
                     depth = depth ).
      WHEN `[`.
        read_array( path  = path
                    depth = depth ).
      WHEN `"`.
        keep( path = path
              text = read_string( ) ).
      WHEN OTHERS.
        read_plain( path ).
    ENDCASE.
  ENDMETHOD.

  METHOD read_object.
    DATA name TYPE string.

    IF depth > c_deepest.
      valid = abap_false.
      RETURN.
    ENDIF.
    expect( `{` ).
    skip_space( ).
    IF peek( ) = `}`.
      expect( `}` ).
      RETURN.
    ENDIF.
    WHILE valid = abap_true.
      skip_space( ).
      name = read_string( ).
      skip_space( ).
      expect( `:` ).
      IF valid = abap_false.
        RETURN.
      ENDIF.
      read_value( path  = |{ path }/{ name }|
                  depth = depth + 1 ).
      skip_space( ).
      IF peek( ) <> `,`.
        expect( `}` ).
        RETURN.
      ENDIF.
      expect( `,` ).
    ENDWHILE.
  ENDMETHOD.

  METHOD read_array.
    DATA number TYPE i.

    IF depth > c_deepest.
      valid = abap_false.
      RETURN.
    ENDIF.
    expect( `[` ).
    skip_space( ).
    IF peek( ) = `]`.
      expect( `]` ).
      RETURN.
    ENDIF.
    WHILE valid = abap_true.
      number = number + 1.
      read_value( path  = |{ path }/{ number }|
                  depth = depth + 1 ).
      skip_space( ).
      IF peek( ) <> `,`.
        expect( `]` ).
        RETURN.
      ENDIF.
      expect( `,` ).
    ENDWHILE.
  ENDMETHOD.

  METHOD read_string.
    DATA mark TYPE string.

    expect( `"` ).
    WHILE valid = abap_true.
      mark = peek( ).
      CASE mark.
        WHEN ``.
          valid = abap_false.
        WHEN `"`.
          expect( mark ).
          RETURN.
        WHEN `\`.
          expect( mark ).
          text = text && read_escape( ).
        WHEN OTHERS.
          " Control characters must be escaped.
          IF mark = cl_abap_char_utilities=>newline OR mark = cl_abap_char_utilities=>horizontal_tab.
            valid = abap_false.
          ENDIF.
          text = text && mark.
          position = position + 1.
      ENDCASE.
    ENDWHILE.
  ENDMETHOD.

  METHOD read_escape.
    DATA mark TYPE string.

    mark = peek( ).
    position = position + 1.
    CASE mark.
      WHEN `"` OR `\` OR `/`.
        text = mark.
      WHEN `n` OR `r` OR `t` OR `b` OR `f`.
        " White space in a token or a code is white space, whichever it is.
        text = ` `.
      WHEN `u`.
        " A character by number: none of our values needs one, so its place is kept by a mark that no token has.
        IF position + 4 > length.
          valid = abap_false.
          RETURN.
        ENDIF.
        mark = document+position(4).
        IF mark CN `0123456789abcdefABCDEF`.
          valid = abap_false.
        ENDIF.
        position = position + 4.
        text = `?`.
      WHEN OTHERS.
        valid = abap_false.
    ENDCASE.
  ENDMETHOD.

  METHOD read_plain.
    DATA: rest TYPE string,
          word TYPE string.

    IF position >= length.
      valid = abap_false.
      RETURN.
    ENDIF.
    rest = document+position.
    FIND REGEX '^(true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?)' IN rest SUBMATCHES word.
    IF sy-subrc <> 0.
      valid = abap_false.
      RETURN.
    ENDIF.
    position = position + strlen( word ).
    IF word = `null`.
      CLEAR word.
    ENDIF.
    keep( path = path
          text = word ).
  ENDMETHOD.

  METHOD keep.
    DATA value TYPE ty_value.

    value-path = path.
    value-text = text.
    INSERT value INTO TABLE values.
    IF sy-subrc <> 0.
      " The same name twice: two readers would read two documents.
      valid = abap_false.
    ENDIF.
  ENDMETHOD.

  METHOD skip_space.
    DATA mark TYPE string.

    DO.
      mark = peek( ).
      IF mark <> ` ` AND mark <> cl_abap_char_utilities=>newline
          AND mark <> cl_abap_char_utilities=>horizontal_tab AND mark <> cl_abap_char_utilities=>cr_lf(1).
        RETURN.
      ENDIF.
      position = position + 1.
    ENDDO.
  ENDMETHOD.

  METHOD peek.
    IF position < length.
      mark = document+position(1).
    ENDIF.
  ENDMETHOD.

  METHOD expect.
    IF peek( ) = mark.
      position = position + 1.
    ELSE.
      valid = abap_false.
    ENDIF.
  ENDMETHOD.

ENDCLASS.
