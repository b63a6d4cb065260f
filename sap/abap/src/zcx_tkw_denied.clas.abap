"! The user lacks the authorisation. The text is the same whether or not the alias or a token exists.
CLASS zcx_tkw_denied DEFINITION PUBLIC INHERITING FROM zcx_tkw FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    METHODS kind REDEFINITION.

  PROTECTED SECTION.
  PRIVATE SECTION.
ENDCLASS.


CLASS zcx_tkw_denied IMPLEMENTATION.

  METHOD kind.
    kind = c_denied.
  ENDMETHOD.

ENDCLASS.
