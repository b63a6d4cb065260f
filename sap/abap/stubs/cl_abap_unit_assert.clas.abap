CLASS cl_abap_unit_assert DEFINITION PUBLIC FINAL CREATE PRIVATE.
  PUBLIC SECTION.
    CLASS-METHODS assert_equals
      IMPORTING
        act TYPE any
        exp TYPE any
        msg TYPE csequence OPTIONAL.
    CLASS-METHODS assert_true
      IMPORTING
        act TYPE abap_bool
        msg TYPE csequence OPTIONAL.
    CLASS-METHODS assert_false
      IMPORTING
        act TYPE abap_bool
        msg TYPE csequence OPTIONAL.
    CLASS-METHODS assert_initial
      IMPORTING
        act TYPE any
        msg TYPE csequence OPTIONAL.
    CLASS-METHODS assert_not_initial
      IMPORTING
        act TYPE any
        msg TYPE csequence OPTIONAL.
    CLASS-METHODS fail
      IMPORTING
        msg TYPE csequence OPTIONAL.
ENDCLASS.

CLASS cl_abap_unit_assert IMPLEMENTATION.
  METHOD assert_equals.
    DATA text TYPE string.
    IF act <> exp.
      text = |{ msg }: got { act }, expected { exp }|.
      fail( text ).
    ENDIF.
  ENDMETHOD.

  METHOD assert_true.
    IF act <> abap_true.
      fail( |{ msg }: not true| ).
    ENDIF.
  ENDMETHOD.

  METHOD assert_false.
    IF act <> abap_false.
      fail( |{ msg }: not false| ).
    ENDIF.
  ENDMETHOD.

  METHOD assert_initial.
    IF act IS NOT INITIAL.
      fail( |{ msg }: not initial| ).
    ENDIF.
  ENDMETHOD.

  METHOD assert_not_initial.
    IF act IS INITIAL.
      fail( |{ msg }: initial| ).
    ENDIF.
  ENDMETHOD.

  METHOD fail.
    WRITE '@KERNEL throw new Error("ABAP Unit: " + msg.get());'.
  ENDMETHOD.
ENDCLASS.
